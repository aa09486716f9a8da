-- name: holds
-- session and fence are the guard: who lost the job writes nothing. job_id, because a deleted job's number may be another
-- one's by now.
select 1 from taskmill_job
where id = :job and job_id = :job_id and session = :session and fence = :fence and state = 'running';

-- name: write
insert into taskmill_sheet (job, fence, number, attempt, text) values (?, ?, ?, ?, ?)
on conflict (job, fence, number) do update set text = excluded.text;

-- name: tear
delete from taskmill_sheet where job = ? and fence = ? and number = ?;

-- name: forget
delete from taskmill_sheet where job = ? and fence <= ?;

-- name: read
select s.fence, s.attempt, s.number, s.text from taskmill_job j cross join taskmill_sheet s on s.job = j.id
where j.job_id = :job_id order by s.fence, s.number;
