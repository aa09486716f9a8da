-- name: outcome
select task, state, reason, result, error from taskmill.job where job_id = %s;

-- name: job
select j.*, l.queue, l.executor, l.priority,
    (select text from taskmill.sheet s where s.job = j.id and s.fence = j.fence and s.number = 0) as progress
from taskmill.job j join taskmill.lane l on l.id = j.lane
where j.job_id = %(job_id)s;

-- name: read_for_search
-- How many jobs a search reads, and the last of them.
select count(*), min(id) from (
    select id from taskmill.job where id < %(after)s order by id desc limit %(most)s
) s;

-- name: search
-- In the collation "C", only A to Z have a case.
select j.*, l.queue, l.executor, l.priority,
    (select text from taskmill.sheet s where s.job = j.id and s.fence = j.fence and s.number = 0) as progress
from taskmill.job j join taskmill.lane l on l.id = j.lane
where j.id < %(after)s and j.id >= %(last)s
and (%(states)s::text[] is null or j.state = any(%(states)s))
and (%(task)s::text is null or j.task = %(task)s) and (%(queue)s::text is null or l.queue = %(queue)s)
and (%(session)s::bigint is null or j.session = %(session)s)
and (%(lowest)s::integer is null or l.priority >= %(lowest)s)
and (%(highest)s::integer is null or l.priority <= %(highest)s)
and (%(enqueued_from)s::bigint is null or j.enqueued_at >= %(enqueued_from)s)
and (%(enqueued_before)s::bigint is null or j.enqueued_at < %(enqueued_before)s)
and (%(ended_from)s::bigint is null or j.ended_at >= %(ended_from)s)
and (%(ended_before)s::bigint is null or j.ended_at < %(ended_before)s)
and (%(tag)s::text is null or exists (
    select 1 from json_array_elements(j.tags::json) t (said) where t.said::text = %(tag)s
))
and (%(json)s::text is null or exists (
    select 1 from (values (j.job_id), (j.task), (l.queue), (j.key)) as_it_is (said)
    where position(lower(%(text)s::text collate "C") in lower(said collate "C")) > 0
    union all
    select 1 from (values (j.tags), (j.args), (j.result), (j.error)) as_json (said)
    where position(lower(%(json)s::text collate "C") in lower(said collate "C")) > 0
))
order by j.id desc limit %(limit)s;

-- name: running
-- By what the sessions hold: a state is in no index.
select j.*, l.queue, l.executor, l.priority,
    (select text from taskmill.sheet s where s.job = j.id and s.fence = j.fence and s.number = 0) as progress
from taskmill.session h cross join taskmill.held_by(h.id) j join taskmill.lane l on l.id = j.lane
where j.id < %(after)s order by j.id desc;

-- name: steps
select j.*, l.queue, l.executor, l.priority,
    (select text from taskmill.sheet s where s.job = j.id and s.fence = j.fence and s.number = 0) as progress
from taskmill.job j join taskmill.lane l on l.id = j.lane
where j.pipeline = %(pipeline)s
order by j.step limit %(limit)s;

-- name: attempts
select job, number, outcome, started_at, ended_at, error, session from taskmill.attempt
where job = any(%s) order by id;

-- name: recent
-- Those that could be among the latest by any of their events.
with latest (id) as (
    (select id from taskmill.job order by id desc limit %(limit)s)
    union
    select job from (select job from taskmill.attempt order by id desc limit %(limit)s) a
    union
    (select j.id from taskmill.session s cross join taskmill.held_by(s.id) j order by j.claimed_at desc limit %(limit)s)
    union
    (
        select r.id from taskmill.lifetimes() t (kept_for) cross join lateral (
            select e.jobs, e.ended_at from taskmill.ended e
            where e.kept_for = t.kept_for order by e.ended_at desc limit %(limit)s
        ) e cross join unnest(e.jobs) r (id) order by e.ended_at desc limit %(limit)s
    )
)
select j.*, l.queue, l.executor, l.priority,
    (select text from taskmill.sheet s where s.job = j.id and s.fence = j.fence and s.number = 0) as progress
from latest join taskmill.job j using (id)
join taskmill.lane l on l.id = j.lane;

-- name: queues
select l.queue, j.state, count(*), count(*) filter (
    where j.state = 'queued' and j.waits_for is null and j.run_at <= c.now
    and (j.expires_at is null or j.expires_at > c.now)
)
from taskmill.job j join taskmill.lane l on l.id = j.lane cross join taskmill.clock(%s) c (now)
group by l.queue, j.state order by l.queue;

-- name: has_suspects
select exists (
    select 1 from taskmill.lane l join taskmill.waiting w on w.lane = l.id join taskmill.job j on j.id = w.job
    cross join taskmill.clock(%(wall)s) c (now)
    where l.executor = 'alone' and w.run_at <= c.now and (j.expires_at is null or j.expires_at > c.now)
    and (%(queues)s::text[] is null or l.queue = any(%(queues)s))
    and not exists (select 1 from taskmill.pause p where p.queue = l.queue)
);

-- name: paused
select queue, since from taskmill.pause order by queue;

-- name: sessions
select id, host, pid, kind, parent, started_at,
    (select count(*) from taskmill.held_by(s.id)), is_asked_to_stop
from taskmill.session s order by id;
