-- Lane: the jobs that share queue, executor and priority. Claimable: queued, run_at reached, waits_for null.

-- name: insert
-- A job whose id, or whose (task, key), is there already is not stored again.
insert into taskmill_job (
    job_id, state, queue, executor, priority, run_at, max_attempts, task, enqueued_at, expires_at, delay,
    result_ttl, lock, key, tags, headers, pipeline, step, args
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (job_id) do nothing on conflict (task, key) where key is not null do nothing;

-- name: insert_args
insert into taskmill_payload (job, kind, data)
select id, 'args', :args from taskmill_job where job_id = :job_id and args is null on conflict do nothing;

-- name: known_by
select job_id from taskmill_job where job_id = :job_id
union all select job_id from taskmill_job where task = :task and key = :key;

-- name: settle_plain
-- Many that touch no other row: by the job's number, a text of started_at (16 digits, or - for never), fence (10 digits),
-- job_id and result.
-- session and fence are the guard: a worker that lost its job changes no row. job_id, because a deleted job's id may be
-- another one's by now. (With + the jobs are found by their numbers, and not by session.)
update taskmill_job
set state = 'succeeded', started_at = nullif(substr(s.value, 1, 16), '----------------'),
    result = substr(s.value, 27 + length(job_id)), ended_at = :now, kept_for = result_ttl, claim = null
from json_each(:settlements) s
where taskmill_job.id = s.key and job_id = substr(s.value, 27, length(job_id))
and +session = :session and fence = substr(s.value, 17, 10) and +state = 'running';

-- name: held
-- session and fence are the guard, as in settle_plain.
select attempt, cancel_requested, lock, pipeline, step, result_ttl from taskmill_job
where id = :id and job_id = :job_id and session = :session and fence = :fence and state = 'running';

-- name: is_recorded
-- By the same holder before, who may have claimed the job once more since.
select 1 from taskmill_job
where id = :id and job_id = :job_id and session = :session
and (fence > :fence or (fence = :fence and state <> 'running'));

-- name: settle_queued
update taskmill_job
set state = 'queued', attempt = attempt - :handed_back, run_at = coalesce(:run_at, run_at), claim = null,
    claimed_at = iif(:handed_back, null, claimed_at), started_at = iif(:handed_back, null, :started_at),
    crashes = crashes + :crashes,
    executor = case
        when :acquits then coalesce(own_executor, executor)
        when :hand_on and executor <> 'alone' then 'elsewhere:' || task
        else executor
    end,
    own_executor = case
        when :acquits then null
        when :hand_on then coalesce(own_executor, executor)
        else own_executor
    end
where id = :id;

-- name: settle_final
update taskmill_job
set state = :state, result = :result, error = :error, reason = :reason, started_at = :started_at, claim = null,
    crashes = crashes + :crashes, ended_at = :now, kept_for = iif(:state = 'failed', max(result_ttl, :failed_ttl), result_ttl)
where id = :id;

-- name: insert_result
insert into taskmill_payload (job, kind, data) values (:id, 'result', :result)
on conflict (job, kind) do update set data = excluded.data;

-- name: insert_attempt
insert into taskmill_attempt (job, number, outcome, started_at, ended_at, error, session)
values (:job, :number, :outcome, :started_at, :ended_at, :error, :session);

-- name: forget_released
-- Of a job's runs that were given back, all but the newest :kept.
delete from taskmill_attempt where id in (
    select id from taskmill_attempt where job = :job and outcome = 'released' order by id desc limit -1 offset :kept
);

-- name: unblock_next
update taskmill_job set state = 'queued', run_at = max(run_at, :now + delay)
where pipeline = :pipeline and step = :step + 1 and state = 'blocked' returning job_id;

-- name: cancel_later
update taskmill_job
set state = 'cancelled', reason = :reason, ended_at = :now, kept_for = result_ttl
where pipeline = :pipeline and step > :step and state = 'blocked' returning job_id;

-- name: is_needed
select 1 from taskmill_job where pipeline = :pipeline and step > :step and ended_at is null;

-- name: free_lock
-- Only its owner frees a lock: the job under the session that claimed it.
delete from taskmill_lock where job = :job and session = :session returning name;

-- name: first_waiter
-- Nothing while the lock is held: then whoever frees it asks again.
update taskmill_job set waits_for = null
where id = (
    select id from taskmill_job where waits_for = :lock order by priority desc, run_at, id limit 1
) and not exists (select 1 from taskmill_lock where name = :lock);

-- name: awaited_locks
with recursive lock (name) as (
    select min(waits_for) from taskmill_job where waits_for is not null
    union all
    select (select min(waits_for) from taskmill_job where waits_for is not null and waits_for > lock.name)
    from lock where name is not null
)
select name from lock where name is not null and name not in (select name from taskmill_lock);

-- name: expire
update taskmill_job
set state = 'cancelled', reason = :reason, waits_for = null, ended_at = :now, kept_for = result_ttl
where expires_at is not null and ended_at is null and state <> 'running' and expires_at <= :now
returning job_id, pipeline, step, lock;

-- name: has_session
select 1 from taskmill_session where id = :session;

-- name: is_claimed
select 1 from taskmill_job where state = 'running' and session = :session and claim = :claim;

-- name: lanes
-- Skip-scans: jump from queue to queue (unless :queues says which), from executor to executor and from priority to
-- priority, instead of reading the jobs in between.
with recursive name (queue) as (
    select min(queue) from taskmill_job where state = 'queued' and waits_for is null and :queues is null
    union all
    select (select min(queue) from taskmill_job where state = 'queued' and waits_for is null and queue > name.queue)
    from name where queue is not null
),
kind (queue, executor) as (
    select q.value, (
        select min(executor) from taskmill_job where state = 'queued' and waits_for is null and queue = q.value
    )
    from (
        select value from json_each(:queues) union all select queue from name where queue is not null
    ) q
    where not exists (select 1 from taskmill_pause p where p.queue = q.value)
    union all
    select queue, (
        select min(executor) from taskmill_job j
        where j.state = 'queued' and j.waits_for is null and j.queue = kind.queue and j.executor > kind.executor
    )
    from kind where executor is not null
),
lane (queue, executor, priority) as (
    select queue, executor, (
        select max(priority) from taskmill_job j
        where j.state = 'queued' and j.waits_for is null and j.queue = kind.queue and j.executor = kind.executor
    )
    from kind where executor is not null
    union all
    select queue, executor, (
        select max(priority) from taskmill_job j
        where j.state = 'queued' and j.waits_for is null
        and j.queue = lane.queue and j.executor = lane.executor and j.priority < lane.priority
    )
    from lane where priority is not null
)
select queue, executor, priority, (
    select min(run_at) from taskmill_job j
    where j.state = 'queued' and j.waits_for is null
    and j.queue = lane.queue and j.executor = lane.executor and j.priority = lane.priority
), exists (
    select 1 from taskmill_job j
    where j.state = 'queued' and j.waits_for is null and j.lock is not null
    and j.queue = lane.queue and j.executor = lane.executor and j.priority = lane.priority
)
from lane where priority is not null;

-- name: claim
-- One with a lock that came in since the lane was looked at is left to the next turn.
update taskmill_job
set state = 'running', session = :session, claim = :claim, fence = fence + 1, attempt = attempt + 1,
    claimed_at = :now, started_at = null
where id in (
    select id from taskmill_job
    where state = 'queued' and waits_for is null and lock is null
    and queue = :queue and executor = :executor and priority = :priority and run_at <= :now
    order by run_at, id limit :want
);

-- name: candidates_across
-- The first of each lane, then the first of all: no lane is read further than needed.
select j.id, j.lock from json_each(:lanes) l cross join taskmill_job j
where j.id in (
    select id from taskmill_job
    where state = 'queued' and waits_for is null
    and queue = json_extract(l.value, '$[0]') and executor = json_extract(l.value, '$[1]')
    and priority = :priority and run_at <= :now
    order by run_at, id limit :want
)
order by j.run_at, j.id limit :want;

-- name: take_lock
insert into taskmill_lock (name, session, job, since) values (:lock, :session, :job, :now) on conflict do nothing;

-- name: park
update taskmill_job set waits_for = lock where id = :id;

-- name: claim_these
update taskmill_job
set state = 'running', session = :session, claim = :claim, fence = fence + 1, attempt = attempt + 1,
    claimed_at = :now, started_at = null
where id in (select value from json_each(:ids));

-- name: claimed
-- Read after the commit, so that the write lock is not held while the rows become Python objects. Of the executor of one
-- that was handed on, "elsewhere" without its task; all others are shorter than these nine characters.
select
    j.id, j.job_id, j.task, j.queue, substr(j.executor, 1, 9), j.attempt, j.max_attempts, j.fence,
    j.lock is null and j.pipeline is null and j.result_ttl > 0 and not j.cancel_requested,
    coalesce(j.args, (select data from taskmill_payload where job = j.id and kind = 'args')),
    iif(j.step = 0, null, (
        select coalesce(b.result, (select data from taskmill_payload where job = b.id and kind = 'result'))
        from taskmill_job b where b.pipeline = j.pipeline and b.step = j.step - 1
    )),
    j.headers, j.crashes, j.run_at
from taskmill_job j
where j.state = 'running' and j.session = :session and j.claim = :claim
order by j.priority desc, j.run_at, j.id;

-- name: next_expiry
select min(expires_at) from taskmill_job
where expires_at is not null and ended_at is null and state <> 'running';

-- name: held_by
select id, job_id, cancel_requested, pipeline, step from taskmill_job
where state = 'running' and session = :session;

-- name: take_back
update taskmill_job
set state = 'queued', attempt = attempt - 1, rescues = rescues + :rescued, session = null, claim = null,
    claimed_at = null, started_at = null
where id = :id;

-- name: ran
select id, job_id, task, queue, executor, attempt, max_attempts, fence, 0, '', null, headers, crashes, run_at,
    claimed_at, cancel_requested
from taskmill_job where id = :id and fence = :fence and session = :session and state = 'running';

-- name: suspect
update taskmill_job set own_executor = coalesce(own_executor, executor), executor = 'alone'
where id = :id and fence = :fence and session = :session and state = 'running';

-- name: cancel_one
update taskmill_job
set state = 'cancelled', reason = :reason, ended_at = :now, kept_for = result_ttl, waits_for = null,
    claim = null
where id = :id;

-- name: free_session_locks
delete from taskmill_lock where session = :session returning name;

-- name: find
select id, state, session, lock, pipeline, step from taskmill_job where job_id = :job_id;

-- name: request_cancel
update taskmill_job set cancel_requested = 1 where id = :id;

-- name: unwanted
select job_id, fence from taskmill_job where state = 'running' and session = :session and cancel_requested;

-- name: last_step
select state, pipeline, step from taskmill_job where job_id = :job_id;

-- name: keep_ending
insert into taskmill_attempt (job, number, outcome, started_at, ended_at, error, session)
select id, attempt, state, started_at, ended_at, error, session from taskmill_job
where job_id = :job_id and error is not null;

-- name: has_succeeded
select 1 from taskmill_job where pipeline = :pipeline and step = :step - 1 and state = 'succeeded';

-- name: queue_again
update taskmill_job
set state = 'queued', run_at = :now, max_attempts = max(max_attempts, attempt + 1), ended_at = null, kept_for = null,
    error = null, reason = null, result = null, cancel_requested = 0, expires_at = null, crashes = 0
where job_id = :job_id;

-- name: block_again
-- Up to the first that was cancelled for its own sake or is gone: none behind it would ever have its turn.
with recursive following (id, step) as (
    select id, step from taskmill_job where pipeline = :pipeline and step = :step + 1 and reason = :reason
    union all
    select j.id, j.step from following cross join taskmill_job j
    where j.pipeline = :pipeline and j.step = following.step + 1 and j.reason = :reason
)
update taskmill_job
set state = 'blocked', ended_at = null, kept_for = null, error = null, reason = null, expires_at = null
where id in (select id from following);

-- name: pause
insert into taskmill_pause (queue, since) values (:queue, :now) on conflict do nothing;

-- name: resume
delete from taskmill_pause where queue = :queue;

-- name: hasten
update taskmill_job set run_at = :now where job_id = :job_id and state = 'queued' and run_at > :now;

-- name: lifetimes
with recursive lifetime (kept_for) as (
    select min(kept_for) from taskmill_job where ended_at is not null
    union all
    select (select min(kept_for) from taskmill_job where ended_at is not null and kept_for > lifetime.kept_for)
    from lifetime where kept_for is not null
)
select kept_for from lifetime where kept_for is not null;

-- name: outlived
select id, job_id from taskmill_job j
where kept_for = :kept_for and ended_at <= :now - :kept_for and ended_at is not null
and not exists (
    select 1 from taskmill_job later
    where later.pipeline = j.pipeline and later.step > j.step and later.ended_at is null
)
order by ended_at limit :limit;

-- name: waiting
select id, job_id, pipeline, step, lock from taskmill_job
where state in ('queued', 'blocked') and (:queue is null or queue = :queue) order by id limit :limit;

-- name: ended
select id, job_id from taskmill_job j
where ended_at is not null and (:queue is null or queue = :queue)
and not exists (
    select 1 from taskmill_job later
    where later.pipeline = j.pipeline and later.step > j.step and later.ended_at is null
)
order by id limit :limit;

-- name: later_steps
select id, job_id from taskmill_job where pipeline = :pipeline and step > :step and state = 'blocked';

-- name: delete_payloads
delete from taskmill_payload where job in (select value from json_each(:ids));

-- name: delete_attempts
delete from taskmill_attempt where job in (select value from json_each(:ids));

-- name: delete_sheets
delete from taskmill_sheet where job in (select value from json_each(:ids));

-- name: delete
delete from taskmill_job where id in (select value from json_each(:ids));
