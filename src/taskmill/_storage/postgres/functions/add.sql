-- The jobs, each with the fields of a NewJob; whether any of them is new and, unless all are, the ids that they are known
-- by, in order.
create or replace function taskmill.store(
    _jobs json, _count integer, _wall bigint, out changed boolean, out ids text[]
)
language plpgsql as $$
declare
    _now bigint := taskmill.clock(_wall);
    new_ones integer;
begin
    if _count = 1 then
        new_ones := taskmill.add_one(_jobs -> 0, _now);
    else
        new_ones := taskmill.add_many(_jobs, _now);
    end if;
    changed := new_ones > 0;
    if new_ones < _count then
        ids := array(
            select coalesce((select k.job_id from taskmill.job k where k.task = j.task and k.key = j.key), j.job_id)
            from json_to_recordset(_jobs) as j (job_id text, task text, key text)
        );
    end if;
end $$;

-- The same, and whoever rests is rung.
create or replace function taskmill.add(
    _jobs json, _count integer, _wall bigint, out changed boolean, out ids text[]
)
language plpgsql as $$
declare
    stored record;
begin
    stored := taskmill.store(_jobs, _count, _wall);
    changed := stored.changed;
    ids := stored.ids;
    if changed then
        perform taskmill.ring();
    end if;
end $$;

-- One, as most programs add them, at half the price; how many it were.
create or replace function taskmill.add_one(_job json, _now bigint) returns integer language plpgsql as $$
declare
    j record;
    added record;
begin
    select * into j from json_to_record(_job) as (
        job_id text, queue text, executor text, priority integer, run_at bigint, delay bigint, max_attempts integer,
        task text, expires_in bigint, result_ttl bigint, lock text, key text, tags text, headers text, pipeline text,
        step integer, args text
    );
    insert into taskmill.job (
        job_id, state, lane, run_at, max_attempts, task, enqueued_at, expires_at, delay, result_ttl, lock, key, tags,
        headers, pipeline, step, args
    ) values (
        j.job_id, case when j.step > 0 then 'blocked' else 'queued' end,
        taskmill.lane_of(j.queue, j.executor, j.priority), coalesce(j.run_at, _now + j.delay), j.max_attempts, j.task,
        _now, _now + j.expires_in, case when j.run_at is null then j.delay else 0 end, j.result_ttl, j.lock, j.key,
        j.tags, j.headers, j.pipeline, j.step, j.args
    )
    on conflict do nothing returning id, lane, run_at into added;
    if not found then
        return 0;
    end if;
    if j.step = 0 then
        insert into taskmill.waiting (lane, run_at, job, has_lock)
        values (added.lane, added.run_at, added.id, j.lock is not null);
    end if;
    if j.expires_in is not null then
        insert into taskmill.expiry (expires_at, job) values (_now + j.expires_in, added.id);
    end if;
    return 1;
end $$;

create or replace function taskmill.add_many(_jobs json, _now bigint) returns integer language plpgsql as $$
declare
    new_ones integer;
begin
    with given as materialized (
        select * from rows from (json_to_recordset(_jobs) as (
            job_id text, queue text, executor text, priority integer, run_at bigint, delay bigint, max_attempts integer,
            task text, expires_in bigint, result_ttl bigint, lock text, key text, tags text, headers text, pipeline text,
            step integer, args text
        )) with ordinality j (
            job_id, queue, executor, priority, run_at, delay, max_attempts, task, expires_in, result_ttl, lock, key, tags,
            headers, pipeline, step, args, number
        )
    ),
    lanes as materialized (
        select d.*, taskmill.lane_of(d.queue, d.executor, d.priority) as lane
        from (select distinct queue, executor, priority from given) d
    ),
    added as (
        insert into taskmill.job (
            job_id, state, lane, run_at, max_attempts, task, enqueued_at, expires_at, delay, result_ttl, lock, key, tags,
            headers, pipeline, step, args
        )
        select
            job_id, case when step > 0 then 'blocked' else 'queued' end, lane, coalesce(run_at, _now + delay),
            max_attempts, task, _now, _now + expires_in, case when run_at is null then delay else 0 end, result_ttl, lock,
            key, tags, headers, pipeline, step, args
        from given join lanes using (queue, executor, priority) order by number
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
