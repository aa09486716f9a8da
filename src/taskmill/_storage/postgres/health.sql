-- name: sessions
select k.id, k.parent, k.process, k.boot, k.slots, k.is_silent, s.kind, s.host, s.pid, s.serves,
    (select count(*) from taskmill.held_by(s.id))
    + (select count(*) from taskmill.lock where session = s.id and job is null), s.is_asked_to_stop
from taskmill.known_sessions(%(monotonic)s) k join taskmill.session s using (id) order by k.id;

-- name: waiting
-- Of a suspect, its own executor: what it waits for besides is nobody's fault.
select l.queue, coalesce(j.own_executor, l.executor) collate "C" as own, j.task, count(*),
    count(*) filter (where is_due), min(run_at) filter (where is_due)
from taskmill.job j join taskmill.lane l on l.id = j.lane cross join taskmill.clock(%(wall)s) c (now)
cross join lateral (
    select j.waits_for is null and j.run_at <= c.now and (j.expires_at is null or j.expires_at > c.now)
) d (is_due)
where j.state = 'queued'
group by l.queue, own, j.task order by l.queue, own, j.task;

-- name: locks
select l.name, l.session, j.job_id, l.since, (select count(*) from taskmill.job where waits_for = l.name)
from taskmill.lock l left join taskmill.job j on j.id = l.job order by l.name;

-- name: schedules
select name, task, spec, last_slot, paused_at from taskmill.schedule order by name;

-- name: paused
select queue, since from taskmill.pause order by queue;

-- name: totals
select c.now, coalesce(max(greatest(enqueued_at, ended_at, claimed_at)), 0),
    count(ended_at),
    count(*) filter (where ended_at + kept_for <= c.now),
    min(ended_at + kept_for) filter (where ended_at + kept_for <= c.now),
    (select count(*) from taskmill.attempt),
    coalesce(sum(octet_length(args)), 0)::bigint + coalesce(sum(octet_length(result)), 0)::bigint
from taskmill.clock(%(wall)s) c (now) left join taskmill.job on true group by c.now;

-- name: crate
select crate, json_array_length(load::json -> 'jobs') from taskmill.outgoing;
