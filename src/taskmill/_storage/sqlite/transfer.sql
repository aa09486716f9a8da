-- name: know_me
insert into taskmill_meta (name, value) values ('identity', :identity) on conflict (name) do nothing;

-- name: identity
select value from taskmill_meta where name = 'identity';

-- name: outgoing
select crate, target, load from taskmill_outgoing;

-- name: keep
insert into taskmill_outgoing (crate, target, load) values (:crate, :target, :load);

-- name: forget
delete from taskmill_outgoing where crate = :crate;

-- name: heads
-- Jobs that stand for themselves, and the first of each pipeline.
select id from taskmill_job j
where id > :after
and (pipeline is null or not exists (
    select 1 from taskmill_job b where b.pipeline = j.pipeline and b.step < j.step
))
and (:with_running or state <> 'running' and (pipeline is null or not exists (
    select 1 from taskmill_job r where r.pipeline = j.pipeline and r.state = 'running'
)))
order by id limit :limit;

-- name: jobs
-- With the later steps of their pipelines; of columns that share a name, the first is read.
select
    coalesce(args, (select data from taskmill_payload where job = j.id and kind = 'args')) as args,
    coalesce(result, (select data from taskmill_payload where job = j.id and kind = 'result')) as result,
    (select text from taskmill_sheet s where s.job = j.id and s.fence = j.fence and s.number = 0) as progress,
    j.*
from taskmill_job j
where id in (
    select value from json_each(:ids)
    union
    select later.id from json_each(:ids) head
    join taskmill_job first on first.id = head.value join taskmill_job later on later.pipeline = first.pipeline
)
order by id;

-- name: attempts
select number, outcome, started_at, ended_at, error, session from taskmill_attempt where job = :job order by id;

-- name: sheets
select fence, attempt, number, text from taskmill_sheet where job = :job order by fence, number;

-- name: first_waiter
update taskmill_job set waits_for = null
where id = (
    select id from taskmill_job where waits_for = :lock order by priority desc, run_at, id limit 1
) and not exists (select 1 from taskmill_lock where name = :lock);

-- name: schedules
select name, task, spec, last_slot, fired, skipped, last_job, paused_at from taskmill_schedule order by name;

-- name: take_schedules
delete from taskmill_schedule;

-- name: mark
insert into taskmill_unpacked (crate) values (:crate) on conflict do nothing;

-- name: insert
insert into taskmill_job (
    job_id, state, queue, executor, own_executor, priority, run_at, attempt, max_attempts, fence, rescues, crashes,
    cancel_requested, task, enqueued_at, claimed_at, started_at, ended_at, kept_for, expires_at, delay, result_ttl, lock,
    key, tags, headers, pipeline, step, args, result, error, reason
) values (
    :job_id, :state, :queue, :executor, :own_executor, :priority, :run_at, :attempt, :max_attempts, :fence, :rescues,
    :crashes, :cancel_requested, :task, :enqueued_at, :claimed_at, :started_at, :ended_at, :kept_for, :expires_at, :delay,
    :result_ttl, :lock, :key, :tags, :headers, :pipeline, :step, :args, :result, :error, :reason
) on conflict do nothing returning id;

-- name: insert_payload
insert into taskmill_payload (job, kind, data) values (:job, :kind, :data);

-- name: insert_attempt
insert into taskmill_attempt (job, number, outcome, started_at, ended_at, error, session)
values (:job, :number, :outcome, :started_at, :ended_at, :error, :session);

-- name: insert_sheet
insert into taskmill_sheet (job, fence, attempt, number, text) values (?, ?, ?, ?, ?);

-- name: adopt
insert into taskmill_schedule (name, task, spec, last_slot, fired, skipped, last_job, paused_at)
values (:name, :task, :spec, :last_slot, :fired, :skipped, :last_job, :paused_at)
on conflict (name) do update set
    last_slot = iif(fired = 0 or excluded.last_slot > last_slot, excluded.last_slot, last_slot),
    last_job = coalesce(last_job, excluded.last_job),
    paused_at = coalesce(paused_at, excluded.paused_at),
    fired = fired + excluded.fired,
    skipped = skipped + excluded.skipped;
