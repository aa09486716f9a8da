-- name: write
-- Many sheets, each as a text of the job's number (19 digits), fence (10), number (10), job_id and what is on it.
-- session and fence are the guard: who lost the job writes nothing. job_id, because a deleted job's number may be another
-- one's by now. (With + the jobs are found by their numbers, and not by session.)
insert into taskmill_sheet (job, fence, number, attempt, text)
select j.id, j.fence, cast(substr(s.value, 30, 10) as integer), j.attempt, substr(s.value, 40 + length(j.job_id))
from json_each(:sheets) s cross join taskmill_job j
where j.id = cast(substr(s.value, 1, 19) as integer) and j.job_id = substr(s.value, 40, length(j.job_id))
and +j.session = :session and j.fence = cast(substr(s.value, 20, 10) as integer) and +j.state = 'running'
on conflict (job, fence, number) do update set text = excluded.text;

-- name: holds
-- As in write.
select 1 from taskmill_job
where id = :job and job_id = :job_id and session = :session and fence = :fence and state = 'running';

-- name: tear
delete from taskmill_sheet where job = ? and fence = ? and number = ?;

-- name: forget
delete from taskmill_sheet where job = ? and fence <= ?;

-- name: read
select s.fence, s.attempt, s.number, s.text from taskmill_job j cross join taskmill_sheet s on s.job = j.id
where j.job_id = :job_id order by s.fence, s.number;
