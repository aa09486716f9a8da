-- Rules that every store keeps at every moment, as statements that must find nothing; each row names what breaks it.
-- What unique indexes say is checked by integrity_check; what checks of the tables say is not on a connection that only
-- reads, so that those of jobs, on which other rules rest, are here again.

-- name: impossible-job
select job_id from taskmill_job
where fence < attempt
or state not in ('blocked', 'queued', 'running', 'succeeded', 'failed', 'cancelled')
or (state in ('succeeded', 'failed', 'cancelled')) <> (ended_at is not null)
or (ended_at is null) <> (kept_for is null)
or (state = 'running' and (session is null or claim is null or attempt < 1))
or (state = 'blocked' and step = 0)
or (step > 0 and pipeline is null)
or (executor = 'alone' or executor = 'elsewhere:' || task) <> (own_executor is not null)
or (waits_for is not null and (state <> 'queued' or waits_for is not lock));

-- name: running-without-session
select job_id from taskmill_job
where state = 'running' and session not in (select id from taskmill_session);

-- name: lock-without-session
select name from taskmill_lock where session not in (select id from taskmill_session);

-- name: lock-without-its-job
-- A lock of a job is held while that job runs, under the same session. (Not the other way round: the lock of a dead
-- session may be another's before its jobs are taken back.)
select name from taskmill_lock l
where job is not null and not exists (
    select 1 from taskmill_job j
    where j.id = l.job and j.state = 'running' and j.session = l.session and j.lock = l.name
);

-- name: lock-that-wakes-nobody
-- While a lock is free, one of those that want it may be claimed, and wakes the next when it ends.
select distinct waits_for from taskmill_job j
where waits_for is not null and waits_for not in (select name from taskmill_lock) and not exists (
    select 1 from taskmill_job woken
    where woken.state = 'queued' and woken.waits_for is null and woken.lock = j.waits_for
);

-- name: blocked-for-ever
select job_id from taskmill_job j
where state = 'blocked' and not exists (
    select 1 from taskmill_job b where b.pipeline = j.pipeline and b.step = j.step - 1 and b.ended_at is null
);

-- name: step-before-its-turn
select job_id from taskmill_job j
where step > 0 and state in ('queued', 'running') and not exists (
    select 1 from taskmill_job b where b.pipeline = j.pipeline and b.step = j.step - 1 and b.state = 'succeeded'
);

-- name: cancelled-and-yet-waiting
select job_id from taskmill_job where cancel_requested and state in ('queued', 'blocked');

-- name: job-without-arguments
select job_id from taskmill_job j
where args is null and not exists (select 1 from taskmill_payload where job = j.id and kind = 'args');

-- name: success-without-result
select job_id from taskmill_job j
where state = 'succeeded' and result is null
and not exists (select 1 from taskmill_payload where job = j.id and kind = 'result');

-- name: payload-without-job
select kind || ' of row ' || job from taskmill_payload where job not in (select id from taskmill_job);

-- name: attempt-without-job
select 'attempt ' || number || ' of row ' || job from taskmill_attempt where job not in (select id from taskmill_job);

-- name: sheet-without-job
select 'sheet ' || number || ' of row ' || job from taskmill_sheet where job not in (select id from taskmill_job);

-- name: attempt-that-was-never-claimed
select j.job_id from taskmill_attempt a join taskmill_job j on j.id = a.job where a.number > j.fence;

-- name: number-to-be-given-twice
-- Sessions and locks: the next one would get a number that is in use.
select name from sqlite_sequence
where (name = 'taskmill_session' and seq < (select max(id) from taskmill_session))
or (name = 'taskmill_lock' and seq < (select max(id) from taskmill_lock));
