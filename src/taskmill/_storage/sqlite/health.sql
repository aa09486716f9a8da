-- name: sessions
select s.id, s.parent, s.process, s.boot, s.lease, s.file, s.kind, s.host, s.pid, s.serves,
    (select count(*) from taskmill_job where state = 'running' and session = s.id)
    + (select count(*) from taskmill_lock where session = s.id and job is null), s.is_asked_to_stop
from taskmill_session s order by s.id;

-- name: waiting
-- Of a suspect, its own executor: what it waits for besides is nobody's fault.
select queue, coalesce(own_executor, executor) as own, task, count(*),
    count(*) filter (where is_due), min(run_at) filter (where is_due)
from (
    select *, waits_for is null and run_at <= :now and (expires_at is null or expires_at > :now) as is_due
    from taskmill_job where state = 'queued'
)
group by queue, own, task;

-- name: locks
select l.name, l.session, j.job_id, l.since, (select count(*) from taskmill_job where waits_for = l.name)
from taskmill_lock l left join taskmill_job j on j.id = l.job order by l.name;

-- name: schedules
select name, task, spec, last_slot, paused_at from taskmill_schedule order by name;

-- name: paused
select queue, since from taskmill_pause order by queue;

-- name: totals
select max(max(enqueued_at), coalesce(max(ended_at), 0), coalesce(max(claimed_at), 0)),
    count(ended_at),
    count(*) filter (where ended_at + kept_for <= :now),
    min(ended_at + kept_for) filter (where ended_at + kept_for <= :now),
    (select count(*) from taskmill_attempt),
    coalesce(sum(length(args)), 0) + coalesce(sum(length(result)), 0)
    + (select coalesce(sum(length(data)), 0) from taskmill_payload)
from taskmill_job;

-- name: crate
select crate, json_array_length(load, '$.jobs') from taskmill_outgoing;
