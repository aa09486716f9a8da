-- What comes next.

-- What waits, seen from above: for each lane that is asked for, when its first job is due. wants: how many for each executor.
create or replace function taskmill.look(_wants json, _queues text[], _knows text[])
returns table (lane integer, serves text, priority smallint, run_at bigint) language sql stable as $$
    with wanted as materialized (
        select key as serves from json_each_text(_wants) where value::integer > 0
    )
    select l.id, w.serves, l.priority, f.run_at
    from taskmill.lane l
    join wanted w on w.serves = case when l.executor like 'elsewhere:%' then 'elsewhere' else l.executor end
    cross join lateral (
        select j.run_at from taskmill.job j
        where j.lane = l.id and j.state = 'queued' and j.waits_for is null order by j.run_at, j.id limit 1
    ) f
    where (_queues is null or l.queue = any(_queues))
    and (w.serves <> 'elsewhere' or substr(l.executor, 11) = any(_knows))
$$;

create or replace function taskmill.next_expiry() returns bigint language sql stable as $$
    select min(expires_at) from taskmill.job
    where expires_at is not null and ended_at is null and state <> 'running'
$$;

-- Up to _want jobs of lanes that share priority and executor; how many it were. Rows that another turn has its hands on are
-- passed over. Those with a lock are left to a turn that is alone.
create or replace function taskmill.claim_from(
    _lanes integer[], _want integer, _session bigint, _claim bigint, _is_alone boolean, _now bigint
) returns integer language plpgsql as $$
declare
    taken integer;
begin
    if cardinality(_lanes) > 1 or _is_alone then
        return taskmill.claim_across(_lanes, _want, _session, _claim, _is_alone, _now);
    end if;
    update taskmill.job
    set state = 'running', session = _session, claim = _claim, fence = fence + 1, attempt = attempt + 1,
        claimed_at = _now, started_at = null
    where ctid = any(array(
        select ctid from taskmill.job
        where lane = _lanes[1] and state = 'queued' and waits_for is null and lock is null and run_at <= _now
        order by run_at, id limit _want for update skip locked
    ));
    get diagnostics taken = row_count;
    return taken;
end $$;

-- The same where lanes must be merged or locks asked for: round by round the next of all, of which some may not be had.
create or replace function taskmill.claim_across(
    _lanes integer[], _want integer, _session bigint, _claim bigint, _is_alone boolean, _now bigint
) returns integer language plpgsql as $$
declare
    total integer := 0;
    behind record;
    candidates bigint[];
    chosen bigint[];
begin
    select null::bigint as run_at, null::bigint as id into behind;
    loop
        -- Of each lane no more than could be wanted, then of all.
        candidates := array(
            select c.id from unnest(_lanes) l (id) cross join lateral (
                select j.run_at, j.id from taskmill.job j
                where j.lane = l.id and j.state = 'queued' and j.waits_for is null and j.run_at <= _now
                and (behind.id is null or (j.run_at, j.id) > (behind.run_at, behind.id))
                order by j.run_at, j.id limit _want - total
            ) c
            order by c.run_at, c.id limit _want - total
        );
        exit when cardinality(candidates) = 0;
        select run_at, id into behind from taskmill.job where id = candidates[cardinality(candidates)];
        chosen := array(
            select id from taskmill.job
            where id = any(candidates) and state = 'queued' and waits_for is null and run_at <= _now
            and (lock is null or _is_alone)
            order by run_at, id for update skip locked
        );
        if _is_alone then
            chosen := taskmill.with_their_locks(chosen, _session, _now);
        end if;
        update taskmill.job
        set state = 'running', session = _session, claim = _claim, fence = fence + 1, attempt = attempt + 1,
            claimed_at = _now, started_at = null
        where id = any(chosen);
        total := total + cardinality(chosen);
        exit when total = _want;
    end loop;
    return total;
end $$;

-- Those of the jobs that may run: each whose lock is free takes it, the others wait for it.
create or replace function taskmill.with_their_locks(_refs bigint[], _session bigint, _now bigint) returns bigint[]
language plpgsql as $$
declare
    candidate record;
    chosen bigint[] := '{}';
begin
    for candidate in
        select id, lock from unnest(_refs) with ordinality r (ref, number) join taskmill.job on id = ref order by number
    loop
        if candidate.lock is not null then
            insert into taskmill.lock (name, session, job, since)
            values (candidate.lock, _session, candidate.id, _now) on conflict do nothing;
            if not found then
                update taskmill.job set waits_for = candidate.lock where id = candidate.id;
                continue;
            end if;
        end if;
        chosen := chosen || candidate.id;
    end loop;
    return chosen;
end $$;
