-- name: add
insert into taskmill_tally (minute, task, event, bucket, number) values (?, ?, ?, ?, ?)
on conflict (minute, task, event, bucket) do update set number = number + excluded.number;

-- name: forget
delete from taskmill_tally where minute < :oldest;

-- name: series
select minute, task, event, bucket, number from taskmill_tally
where minute >= :since and (:task is null or task = :task)
order by minute, task, event, bucket;
