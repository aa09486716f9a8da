-- name: know_me
insert into taskmill.meta (name, value) values ('identity', %s) on conflict (name) do nothing;

-- name: identity
select value from taskmill.meta where name = 'identity';

-- name: alone
select taskmill.alone();

-- name: outgoing
select crate, target, load from taskmill.outgoing;

-- name: keep
insert into taskmill.outgoing (crate, target, load) values (%(crate)s, %(target)s, %(load)s);

-- name: forget
delete from taskmill.outgoing where crate = %s;

-- name: heads
-- Jobs that stand for themselves, and the first of each pipeline.
select id from taskmill.job j
where id > %(after)s
and (pipeline is null or not exists (
    select 1 from taskmill.job b where b.pipeline = j.pipeline and b.step < j.step
))
and (%(with_running)s or state <> 'running' and (pipeline is null or not exists (
    select 1 from taskmill.job r where r.pipeline = j.pipeline and r.state = 'running'
)))
order by id limit %(limit)s;

-- name: jobs
-- With the later steps of their pipelines.
select j.*, l.queue, l.executor, l.priority,
    (select text from taskmill.sheet s where s.job = j.id and s.fence = j.fence and s.number = 0) as progress
from taskmill.job j join taskmill.lane l on l.id = j.lane
where j.id = any(%(ids)s) or j.pipeline in (select pipeline from taskmill.job where id = any(%(ids)s))
order by j.id;

-- name: seize
-- Those of the queued jobs that nobody is about to claim.
select id from taskmill.job where id = any(%s) and state = 'queued' and taskmill.seize(id, false);

-- name: line_up
select taskmill.line_up(%s);

-- name: attempts
select job, number, outcome, started_at, ended_at, error, session from taskmill.attempt
where job = any(%s) order by id;

-- name: sheets
select job, fence, attempt, number, text from taskmill.sheet where job = any(%s) order by job, fence, number;

-- name: take_out
select taskmill.take_out(%s);

-- name: take_schedules
delete from taskmill.schedule returning name, task, spec, last_slot, fired, skipped, last_job, paused_at;

-- name: mark
insert into taskmill.unpacked (crate) values (%s) on conflict do nothing returning crate;

-- name: insert
insert into taskmill.job (
    job_id, lane, state, own_executor, run_at, attempt, max_attempts, fence, rescues, crashes, cancel_requested, task,
    enqueued_at, claimed_at, started_at, ended_at, kept_for, expires_at, delay, result_ttl, lock, key, tags, headers,
    pipeline, step, args, result, error, reason
) values (
    %(job_id)s, taskmill.lane_of(%(queue)s, %(executor)s, %(priority)s), %(state)s, %(own_executor)s, %(run_at)s,
    %(attempt)s, %(max_attempts)s, %(fence)s, %(rescues)s, %(crashes)s, %(cancel_requested)s, %(task)s, %(enqueued_at)s,
    %(claimed_at)s, %(started_at)s, %(ended_at)s, %(kept_for)s, %(expires_at)s, %(delay)s, %(result_ttl)s, %(lock)s,
    %(key)s, %(tags)s, %(headers)s, %(pipeline)s, %(step)s, %(args)s, %(result)s, %(error)s, %(reason)s
) on conflict do nothing returning id;

-- name: insert_attempt
insert into taskmill.attempt (job, number, outcome, started_at, ended_at, error, session)
values (%(job)s, %(number)s, %(outcome)s, %(started_at)s, %(ended_at)s, %(error)s, %(session)s);

-- name: insert_sheet
insert into taskmill.sheet (job, fence, attempt, number, text) values (%s, %s, %s, %s, %s);

-- name: settle_in
select taskmill.settle_in(%s);

-- name: adopt
insert into taskmill.schedule as s (name, task, spec, last_slot, fired, skipped, last_job, paused_at)
values (%(name)s, %(task)s, %(spec)s, %(last_slot)s, %(fired)s, %(skipped)s, %(last_job)s, %(paused_at)s)
on conflict (name) do update set
    last_slot = case when s.fired = 0 then excluded.last_slot else greatest(s.last_slot, excluded.last_slot) end,
    last_job = coalesce(s.last_job, excluded.last_job),
    paused_at = coalesce(s.paused_at, excluded.paused_at),
    fired = s.fired + excluded.fired,
    skipped = s.skipped + excluded.skipped;
