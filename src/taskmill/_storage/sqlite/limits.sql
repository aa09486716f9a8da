-- name: acquire
insert into taskmill_lock (name, session, since) values (:name, :session, :now) on conflict do nothing returning id;

-- name: holder
select id, session, job from taskmill_lock where name = :name;

-- name: release
-- Only its owner frees a lock.
delete from taskmill_lock where name = :name and session = :session and id = :token and job is null;

-- name: drop
delete from taskmill_lock where id = :token;

-- name: all
select l.name, l.id, l.session, j.job_id, l.since
from taskmill_lock l left join taskmill_job j on j.id = l.job order by l.name;
