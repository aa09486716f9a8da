-- New jobs. Whoever adds plainly is refused with unique_violation where a job is stored already, and adds carefully then: to look
-- for those that are stored takes a third of the time, and hardly ever finds one.

-- One without a key, as most programs add them, by two statements and no more: to begin one takes longer than what it does here.
create or replace function taskmill.add_one(
    _job_id text, _args text, _run_at bigint, _headers text, _pipeline text, _queue text, _executor text,
    _priority integer, _delay bigint, _max_attempts integer, _task text, _expires_in bigint, _result_ttl bigint,
    _lock text, _tags text, _step integer, _wall bigint
) returns void language plpgsql as $$
declare
    _now bigint := taskmill.clock(_wall);
    _due bigint := coalesce(_run_at, _now + _delay);
    added record;
    is_awaited boolean;
begin
    insert into taskmill.job (
        job_id, state, lane, run_at, max_attempts, task, enqueued_at, expires_at, delay, result_ttl, lock, tags, headers,
        pipeline, step, args
    ) values (
        _job_id, case when _step > 0 then 'blocked' else 'queued' end,
        coalesce(
            (select id from taskmill.lane where queue = _queue and executor = _executor and priority = _priority),
            taskmill.lane_of(_queue, _executor, _priority)
        ),
        _due, _max_attempts, _task, _now, _now + _expires_in, case when _run_at is null then _delay else 0 end,
        _result_ttl, _lock, _tags, _headers, _pipeline, _step, _args
    )
    returning id, lane into added;
    if _step = 0 then
        insert into taskmill.waiting (lane, run_at, job, has_lock) values (added.lane, _due, added.id, _lock is not null)
        returning exists (select 1 from taskmill.listener where room > 0) into is_awaited;
    end if;
    if _expires_in is not null then
        insert into taskmill.expiry (expires_at, job) values (_now + _expires_in, added.id);
    end if;
    -- Asked here too, for to call a function takes three times as long as this.
    if is_awaited then
        perform taskmill.ring();
    end if;
end $$;

-- Many without a key that differ in id and arguments only.
create or replace function taskmill.add_alike(
    _job_ids text[], _args text[], _run_at bigint, _headers text, _pipeline text, _queue text, _executor text,
    _priority integer, _delay bigint, _max_attempts integer, _task text, _expires_in bigint, _result_ttl bigint,
    _lock text, _tags text, _step integer, _wall bigint
) returns void language plpgsql as $$
declare
    _now bigint := taskmill.clock(_wall);
    _lane integer := taskmill.lane_of(_queue, _executor, _priority);
    _due bigint := coalesce(_run_at, _now + _delay);
begin
    with added as (
        insert into taskmill.job (
            job_id, state, lane, run_at, max_attempts, task, enqueued_at, expires_at, delay, result_ttl, lock, tags,
            headers, pipeline, step, args
        )
        select
            job_id, case when _step > 0 then 'blocked' else 'queued' end, _lane, _due, _max_attempts, _task, _now,
            _now + _expires_in, case when _run_at is null then _delay else 0 end, _result_ttl, _lock, _tags, _headers,
            _pipeline, _step, args
        from unnest(_job_ids, _args) as each (job_id, args)
        returning id
    ),
    expiring as (
        insert into taskmill.expiry (expires_at, job)
        select _now + _expires_in, id from added where _expires_in is not null
    )
    insert into taskmill.waiting (lane, run_at, job, has_lock)
    select _lane, _due, id, _lock is not null from added where _step = 0;
    perform taskmill.ring();
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

-- The fields of each NewJob. _jobs has what all share under the field's name, and else under "each_" and that what it is in
-- each job; what is nowhere is null.
create or replace function taskmill.calls(_jobs json)
returns table (
    number bigint, job_id text, queue text, executor text, priority integer, run_at bigint, delay bigint,
    max_attempts integer, task text, expires_in bigint, result_ttl bigint, lock text, key text, tags text, headers text,
    pipeline text, step integer, args text
) language sql stable as $$
    select
        number, each.job_id, coalesce(each.queue, shared.queue), coalesce(each.executor, shared.executor),
        coalesce(each.priority, shared.priority), coalesce(each.run_at, shared.run_at), coalesce(each.delay, shared.delay),
        coalesce(each.max_attempts, shared.max_attempts), coalesce(each.task, shared.task),
        coalesce(each.expires_in, shared.expires_in), coalesce(each.result_ttl, shared.result_ttl),
        coalesce(each.lock, shared.lock), coalesce(each.key, shared.key), coalesce(each.tags, shared.tags),
        coalesce(each.headers, shared.headers), coalesce(each.pipeline, shared.pipeline), coalesce(each.step, shared.step),
        coalesce(each.args, shared.args)
    from json_to_record(_jobs) as shared (
        queue text, executor text, priority integer, run_at bigint, delay bigint, max_attempts integer, task text,
        expires_in bigint, result_ttl bigint, lock text, key text, tags text, headers text, pipeline text, step integer,
        args text, each_job_id text[], each_queue text[], each_executor text[], each_priority integer[],
        each_run_at bigint[], each_delay bigint[], each_max_attempts integer[], each_task text[], each_expires_in bigint[],
        each_result_ttl bigint[], each_lock text[], each_key text[], each_tags text[], each_headers text[],
        each_pipeline text[], each_step integer[], each_args text[]
    )
    cross join lateral unnest(
        each_job_id, each_queue, each_executor, each_priority, each_run_at, each_delay, each_max_attempts, each_task,
        each_expires_in, each_result_ttl, each_lock, each_key, each_tags, each_headers, each_pipeline, each_step, each_args
    ) with ordinality as each (
        job_id, queue, executor, priority, run_at, delay, max_attempts, task, expires_in, result_ttl, lock, key, tags,
        headers, pipeline, step, args, number
    )
$$;
