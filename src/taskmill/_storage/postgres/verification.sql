-- Rules that every store keeps at every moment, as statements that must find nothing; each row names what breaks it. What
-- the unique indexes of the tables say, the server sees to.

-- name: impossible-job
select job_id from taskmill.job
where fence < attempt or attempt < 0 or max_attempts < 1 or delay < 0 or result_ttl < 0 or step < 0
or state not in ('blocked', 'queued', 'running', 'succeeded', 'failed', 'cancelled')
or (state in ('succeeded', 'failed', 'cancelled')) <> (ended_at is not null)
or (ended_at is null) <> (kept_for is null)
or (state = 'running' and (session is null or claim is null or attempt < 1))
or (state = 'blocked' and step = 0)
or (step > 0 and pipeline is null)
or (waits_for is not null and (state <> 'queued' or waits_for is distinct from lock));

-- name: impossible-executor
select job_id from taskmill.job j left join taskmill.lane l on l.id = j.lane
where l.id is null or (l.executor = 'alone' or l.executor = 'elsewhere:' || j.task) <> (j.own_executor is not null);

-- name: queued-and-not-in-line
select j.job_id from taskmill.job j
where j.state = 'queued' and j.waits_for is null and not exists (
    select 1 from taskmill.waiting w
    where w.lane = j.lane and w.run_at = j.run_at and w.job = j.id and w.has_lock = (j.lock is not null)
);

-- name: in-line-and-not-queued
select 'row ' || w.job from taskmill.waiting w where not exists (
    select 1 from taskmill.job j
    where j.id = w.job and j.state = 'queued' and j.waits_for is null and j.lane = w.lane and j.run_at = w.run_at
);

-- name: held-and-not-claimed
select job_id from taskmill.job j
where state = 'running' and not exists (
    select 1 from taskmill.claim c where c.session = j.session and c.number = j.claim and j.id = any(c.jobs)
);

-- name: claimed-and-wrongly-counted
select 'claim ' || c.number || ' of session ' || c.session from taskmill.claim c where held <> (
    select count(*) from taskmill.job j
    where j.id = any(c.jobs) and j.session = c.session and j.claim = c.number and j.state = 'running'
);

-- name: never-to-expire
select job_id from taskmill.job j
where expires_at is not null and ended_at is null
and not exists (select 1 from taskmill.expiry e where e.expires_at = j.expires_at and e.job = j.id);

-- name: never-to-be-pruned
select job_id from taskmill.job j
where ended_at is not null and not exists (
    select 1 from taskmill.ended e where e.kept_for = j.kept_for and e.ended_at = j.ended_at and j.id = any(e.jobs)
);

-- name: running-without-session
select job_id from taskmill.job
where state = 'running' and session not in (select id from taskmill.session);

-- name: lock-without-session
select name from taskmill.lock where session not in (select id from taskmill.session);

-- name: lock-without-its-job
-- A lock of a job is held while that job runs, under the same session. (Not the other way round: the lock of a dead
-- session may be another's before its jobs are taken back.)
select name from taskmill.lock l
where job is not null and not exists (
    select 1 from taskmill.job j
    where j.id = l.job and j.state = 'running' and j.session = l.session and j.lock = l.name
);

-- name: lock-that-wakes-nobody
-- While a lock is free, one of those that want it may be claimed, and wakes the next when it ends.
select distinct waits_for from taskmill.job j
where waits_for is not null and waits_for not in (select name from taskmill.lock) and not exists (
    select 1 from taskmill.job woken
    where woken.state = 'queued' and woken.waits_for is null and woken.lock = j.waits_for
);

-- name: blocked-for-ever
select job_id from taskmill.job j
where state = 'blocked' and not exists (
    select 1 from taskmill.job b where b.pipeline = j.pipeline and b.step = j.step - 1 and b.ended_at is null
);

-- name: step-before-its-turn
select job_id from taskmill.job j
where step > 0 and state in ('queued', 'running') and not exists (
    select 1 from taskmill.job b where b.pipeline = j.pipeline and b.step = j.step - 1 and b.state = 'succeeded'
);

-- name: cancelled-and-yet-waiting
select job_id from taskmill.job where cancel_requested and state in ('queued', 'blocked');

-- name: success-without-result
select job_id from taskmill.job where state = 'succeeded' and result is null;

-- name: attempt-without-job
select 'attempt ' || number || ' of row ' || job from taskmill.attempt where job not in (select id from taskmill.job);

-- name: sheet-without-job
select 'sheet ' || number || ' of row ' || job from taskmill.sheet where job not in (select id from taskmill.job);

-- name: attempt-that-was-never-claimed
select j.job_id from taskmill.attempt a join taskmill.job j on j.id = a.job where a.number > j.fence;
