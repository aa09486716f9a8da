-- name: append
insert into taskmill_deed (deed_id, at, who, origin, what, subject, number)
values (:deed_id, :now, :who, :origin, :what, :subject, :number)
on conflict (deed_id) do nothing;

-- name: forget
delete from taskmill_deed where id <= (select max(id) from taskmill_deed) - :most;

-- name: page
select id, at, deed_id, who, origin, what, subject, number from taskmill_deed
where :after is null or id < :after
order by id desc limit :limit;
