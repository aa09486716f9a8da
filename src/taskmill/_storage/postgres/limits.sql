-- name: acquire
select token, holder from taskmill.acquire(%s, %s, %s, %s, %s, %s, %s);

-- name: release
select taskmill.release(%s, %s, %s);

-- name: all
select l.name, l.token, l.session, j.job_id, l.since
from taskmill.lock l left join taskmill.job j on j.id = l.job order by l.name;
