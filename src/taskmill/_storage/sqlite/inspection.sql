-- name: outcome
select task, state, reason,
    coalesce(result, (select data from taskmill_payload where job = j.id and kind = 'result')), error
from taskmill_job j where job_id = :job_id;

-- name: job
-- Here, and where jobs are found below: of columns that share a name, the first is read.
select
    coalesce(args, (select data from taskmill_payload where job = j.id and kind = 'args')) as args,
    coalesce(result, (select data from taskmill_payload where job = j.id and kind = 'result')) as result,
    (select text from taskmill_sheet s where s.job = j.id and s.fence = j.fence and s.number = 0) as progress,
    j.*
from taskmill_job j where j.id = coalesce(:id, (select id from taskmill_job where job_id = :job_id));

-- name: read_for_search
-- How many jobs a search reads, and the last of them.
select count(*), min(id) from (
    select id from taskmill_job where id < :after order by id desc limit :most
);

-- name: search
select
    coalesce(args, (select data from taskmill_payload where job = j.id and kind = 'args')) as args,
    coalesce(result, (select data from taskmill_payload where job = j.id and kind = 'result')) as result,
    (select text from taskmill_sheet s where s.job = j.id and s.fence = j.fence and s.number = 0) as progress,
    j.*
from taskmill_job j
where id < :after and id >= :last
and (:states is null or state in (select value from json_each(:states)))
and (:task is null or task = :task) and (:queue is null or queue = :queue)
and (:session is null or session = :session)
and (:lowest is null or priority >= :lowest) and (:highest is null or priority <= :highest)
and (:enqueued_from is null or enqueued_at >= :enqueued_from)
and (:enqueued_before is null or enqueued_at < :enqueued_before)
and (:ended_from is null or ended_at >= :ended_from) and (:ended_before is null or ended_at < :ended_before)
and (:tag is null or exists (select 1 from json_each(iif(json_valid(tags), tags, '[]')) where value = :tag))
and (
    :text is null or job_id like :text escape '!' or task like :text escape '!' or queue like :text escape '!'
    or key like :text escape '!' or tags like :json escape '!' or args like :json escape '!'
    or result like :json escape '!' or error like :json escape '!'
    or exists (select 1 from taskmill_payload where job = j.id and data like :json escape '!')
)
order by id desc limit :limit;

-- name: running
-- (With + they are found by the index of the running ones, and not by their numbers.)
select
    coalesce(args, (select data from taskmill_payload where job = j.id and kind = 'args')) as args,
    coalesce(result, (select data from taskmill_payload where job = j.id and kind = 'result')) as result,
    (select text from taskmill_sheet s where s.job = j.id and s.fence = j.fence and s.number = 0) as progress,
    j.*
from taskmill_job j where j.state = 'running' and +j.id < :after order by +j.id desc;

-- name: steps
select
    coalesce(args, (select data from taskmill_payload where job = j.id and kind = 'args')) as args,
    coalesce(result, (select data from taskmill_payload where job = j.id and kind = 'result')) as result,
    (select text from taskmill_sheet s where s.job = j.id and s.fence = j.fence and s.number = 0) as progress,
    j.*
from taskmill_job j
where pipeline = :pipeline
order by step limit :limit;

-- name: attempts
select number, outcome, started_at, ended_at, error, session from taskmill_attempt
where job = :job order by id;

-- name: recently_enqueued
select id from taskmill_job order by id desc limit :limit;

-- name: recently_tried
select id from taskmill_job
where id in (select job from taskmill_attempt order by id desc limit :limit);

-- name: recently_claimed
select id from taskmill_job where state = 'running' order by claimed_at desc limit :limit;

-- name: lifetimes
with recursive lifetime (kept_for) as (
    select min(kept_for) from taskmill_job where ended_at is not null
    union all
    select (select min(kept_for) from taskmill_job where ended_at is not null and kept_for > lifetime.kept_for)
    from lifetime where kept_for is not null
)
select kept_for from lifetime where kept_for is not null;

-- name: recently_ended
select id from taskmill_job
where ended_at is not null and kept_for = :kept_for order by ended_at desc limit :limit;

-- name: queues
select queue, state, count(*), sum(
    state = 'queued' and waits_for is null and run_at <= :now and (expires_at is null or expires_at > :now)
)
from taskmill_job group by queue, state order by queue;

-- name: has_suspects
-- By the queues that hold queued jobs, each found by one look into the index of claims.
with recursive name (queue) as (
    select min(queue) from taskmill_job where state = 'queued' and waits_for is null
    union all
    select (select min(queue) from taskmill_job where state = 'queued' and waits_for is null and queue > name.queue)
    from name where queue is not null
)
select 1 from name cross join taskmill_job j
where j.state = 'queued' and j.waits_for is null and j.queue = name.queue and j.executor = 'alone'
and j.run_at <= :now and (j.expires_at is null or j.expires_at > :now)
and (:queues is null or j.queue in (select value from json_each(:queues)))
and not exists (select 1 from taskmill_pause p where p.queue = name.queue)
limit 1;

-- name: paused
select queue, since from taskmill_pause order by queue;

-- name: sessions
select id, host, pid, kind, parent, started_at,
    (select count(*) from taskmill_job where state = 'running' and session = s.id), is_asked_to_stop
from taskmill_session s order by id;
