-- name: write
select taskmill.write_journals(%s, %s, %s);

-- name: read
select s.fence, s.attempt, s.number, s.text from taskmill.job j join taskmill.sheet s on s.job = j.id
where j.job_id = %s order by s.fence, s.number;
