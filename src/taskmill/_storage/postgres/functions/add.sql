-- New jobs. Whoever adds plainly is refused with unique_violation where a job is stored already, and adds carefully then: to look
-- for those that are stored takes a third of the time, and hardly ever finds one.

-- One without a key, as most programs add them, by fewer and smaller statements than many.
create or replace function taskmill.add_one(
    _job_id text, _queue text, _executor text, _priority integer, _run_at bigint, _delay bigint, _max_attempts integer,
    _task text, _expires_in bigint, _result_ttl bigint, _lock text, _tags text, _headers text, _pipeline text,
    _step integer, _args text, _wall bigint
) returns void language plpgsql as $$
declare
    _now bigint := taskmill.clock(_wall);
    _lane integer := taskmill.lane_of(_queue, _executor, _priority);
    _due bigint := coalesce(_run_at, _now + _delay);
    ref bigint;
begin
    insert into taskmill.job (
        job_id, state, lane, run_at, max_attempts, task, enqueued_at, expires_at, delay, result_ttl, lock, tags, headers,
        pipeline, step, args
    ) values (
        _job_id, case when _step > 0 then 'blocked' else 'queued' end, _lane, _due, _max_attempts, _task, _now,
        _now + _expires_in, case when _run_at is null then _delay else 0 end, _result_ttl, _lock, _tags, _headers,
        _pipeline, _step, _args
    )
    returning id into ref;
    if _step = 0 then
        insert into taskmill.waiting (lane, run_at, job, has_lock) values (_lane, _due, ref, _lock is not null);
    end if;
    if _expires_in is not null then
        insert into taskmill.expiry (expires_at, job) values (_now + _expires_in, ref);
    end if;
    -- Asked here too, for to call a function takes three times as long as this.
    if exists (select 1 from taskmill.listener where room > 0) then
        perform taskmill.ring();
    end if;
end $$;

-- The _count jobs; whether any of them is new and, unless all are, the ids that they are known by, in order.
create or replace function taskmill.add(
    _jobs json, _count integer, _is_careful boolean, _wall bigint, out changed boolean, out ids text[]
) language plpgsql as $$
declare
    stored record;
begin
    stored := taskmill.store(_jobs, _count, _is_careful, _wall);
    changed := stored.changed;
    ids := stored.ids;
    if changed then
        perform taskmill.ring();
    end if;
end $$;

-- The same, and nobody is rung.
create or replace function taskmill.store(
    _jobs json, _count integer, _is_careful boolean, _wall bigint, out changed boolean, out ids text[]
) language plpgsql as $$
declare
    _now bigint := taskmill.clock(_wall);
    new_ones integer;
begin
    if _is_careful then
        new_ones := taskmill.add_carefully(_jobs, _now);
    else
        new_ones := taskmill.add_plainly(_jobs, _now);
    end if;
    changed := new_ones > 0;
    if new_ones < _count then
        ids := array(
            select coalesce((select k.job_id from taskmill.job k where k.task = c.task and k.key = c.key), c.job_id)
            from taskmill.calls(_jobs) c order by c.number
        );
    end if;
end $$;

create or replace function taskmill.add_plainly(_jobs json, _now bigint) returns integer language plpgsql as $$
declare
    new_ones integer;
begin
    with added as (
        insert into taskmill.job (
            job_id, state, lane, run_at, max_attempts, task, enqueued_at, expires_at, delay, result_ttl, lock, key, tags,
            headers, pipeline, step, args
        )
        select * from taskmill.rows_of(_jobs, _now)
        returning id, lane, run_at, state, lock, expires_at
    ),
    lined_up as (
        insert into taskmill.waiting (lane, run_at, job, has_lock)
        select lane, run_at, id, lock is not null from added where state = 'queued'
    ),
    expiring as (
        insert into taskmill.expiry (expires_at, job) select expires_at, id from added where expires_at is not null
    )
    select count(*) into new_ones from added;
    return new_ones;
end $$;

create or replace function taskmill.add_carefully(_jobs json, _now bigint) returns integer language plpgsql as $$
declare
    new_ones integer;
begin
    with added as (
        insert into taskmill.job (
            job_id, state, lane, run_at, max_attempts, task, enqueued_at, expires_at, delay, result_ttl, lock, key, tags,
            headers, pipeline, step, args
        )
        select * from taskmill.rows_of(_jobs, _now)
        on conflict do nothing
        returning id, lane, run_at, state, lock, expires_at
    ),
    lined_up as (
        insert into taskmill.waiting (lane, run_at, job, has_lock)
        select lane, run_at, id, lock is not null from added where state = 'queued'
    ),
    expiring as (
        insert into taskmill.expiry (expires_at, job) select expires_at, id from added where expires_at is not null
    )
    select count(*) into new_ones from added;
    return new_ones;
end $$;

-- What is written of the jobs, in their order. In SQL, and stable, so that it becomes a part of the statement that asks; a lane
-- that is not there is made.
create or replace function taskmill.rows_of(_jobs json, _now bigint)
returns table (
    job_id text, state text, lane integer, run_at bigint, max_attempts integer, task text, enqueued_at bigint,
    expires_at bigint, delay bigint, result_ttl bigint, lock text, key text, tags text, headers text, pipeline text,
    step integer, args text
) language sql stable as $$
    select
        c.job_id, case when c.step > 0 then 'blocked' else 'queued' end,
        coalesce(l.id, taskmill.lane_of(c.queue, c.executor, c.priority)), coalesce(c.run_at, _now + c.delay),
        c.max_attempts, c.task, _now, _now + c.expires_in, case when c.run_at is null then c.delay else 0 end,
        c.result_ttl, c.lock, c.key, c.tags, c.headers, c.pipeline, c.step, c.args
    from taskmill.calls(_jobs) c left join taskmill.lane l using (queue, executor, priority) order by c.number
$$;

-- The fields of each NewJob: _jobs has a list for each, of one value for each job or, where all share it, of that one.
create or replace function taskmill.calls(_jobs json)
returns table (
    number bigint, job_id text, queue text, executor text, priority integer, run_at bigint, delay bigint,
    max_attempts integer, task text, expires_in bigint, result_ttl bigint, lock text, key text, tags text, headers text,
    pipeline text, step integer, args text
) language sql stable as $$
    select
        number, c.job_id,
        case when cardinality(j.queue) = 1 then j.queue[1] else c.queue end,
        case when cardinality(j.executor) = 1 then j.executor[1] else c.executor end,
        case when cardinality(j.priority) = 1 then j.priority[1] else c.priority end,
        case when cardinality(j.run_at) = 1 then j.run_at[1] else c.run_at end,
        case when cardinality(j.delay) = 1 then j.delay[1] else c.delay end,
        case when cardinality(j.max_attempts) = 1 then j.max_attempts[1] else c.max_attempts end,
        case when cardinality(j.task) = 1 then j.task[1] else c.task end,
        case when cardinality(j.expires_in) = 1 then j.expires_in[1] else c.expires_in end,
        case when cardinality(j.result_ttl) = 1 then j.result_ttl[1] else c.result_ttl end,
        case when cardinality(j.lock) = 1 then j.lock[1] else c.lock end,
        case when cardinality(j.key) = 1 then j.key[1] else c.key end,
        case when cardinality(j.tags) = 1 then j.tags[1] else c.tags end,
        case when cardinality(j.headers) = 1 then j.headers[1] else c.headers end,
        case when cardinality(j.pipeline) = 1 then j.pipeline[1] else c.pipeline end,
        case when cardinality(j.step) = 1 then j.step[1] else c.step end,
        case when cardinality(j.args) = 1 then j.args[1] else c.args end
    from json_to_record(_jobs) as j (
        job_id text[], queue text[], executor text[], priority integer[], run_at bigint[], delay bigint[],
        max_attempts integer[], task text[], expires_in bigint[], result_ttl bigint[], lock text[], key text[],
        tags text[], headers text[], pipeline text[], step integer[], args text[]
    )
    cross join lateral unnest(
        j.job_id, j.queue, j.executor, j.priority, j.run_at, j.delay, j.max_attempts, j.task, j.expires_in,
        j.result_ttl, j.lock, j.key, j.tags, j.headers, j.pipeline, j.step, j.args
    ) with ordinality as c (
        job_id, queue, executor, priority, run_at, delay, max_attempts, task, expires_in, result_ttl, lock, key, tags,
        headers, pipeline, step, args, number
    )
$$;
