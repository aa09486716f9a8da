-- What comes next. In SQL, one statement each, where it is made a part of the one that asks for it.

-- What waits, seen from above: for each lane that is asked for, when its first job is due, or null. wants: how many for each
-- executor; since: for some lanes, an instant before which nothing waits.
create or replace function taskmill.look(_wants json, _queues text[], _knows text[], _since json)
returns table (lane integer, serves text, priority smallint, run_at bigint) language sql stable as $$
    select l.id, w.key, l.priority, f.run_at
    from json_each_text(_wants) w
    join taskmill.lane l on w.key = case when l.executor like 'elsewhere:%' then 'elsewhere' else l.executor end
    left join lateral (
        select q.run_at from taskmill.waiting q
        where q.lane = l.id and q.run_at >= coalesce((_since ->> l.id::text)::bigint, 0)
        order by q.run_at, q.job limit 1
    ) f on true
    where w.value::integer > 0 and (_queues is null or l.queue = any(_queues))
    and not exists (select 1 from taskmill.pause p where p.queue = l.queue)
    and (w.key <> 'elsewhere' or substr(l.executor, 11) = any(_knows))
$$;

create or replace function taskmill.next_expiry() returns table (expires_at bigint) language sql stable as $$
    select e.expires_at from taskmill.expiry e join taskmill.job j on j.id = e.job
    where j.state <> 'running' order by e.expires_at limit 1
$$;

-- How many places in the lines this transaction has read, those of jobs included that are gone and not cleared away.
create or replace function taskmill.places_read() returns bigint language plpgsql stable as $$
begin
    return pg_stat_get_xact_tuples_returned('taskmill.waiting_pkey'::regclass);
end $$;

-- Take up to _want jobs out of their line, from lanes that share priority and executor, of which the first is due at _first;
-- which they are. What another turn has its hands on is passed over. Those with a lock are left to a turn that is
-- alone.
create or replace function taskmill.take(
    _lanes integer[], _first bigint, _want integer, _session bigint, _is_alone boolean, _now bigint
) returns bigint[] language plpgsql as $$
declare
    taken bigint[];
begin
    if cardinality(_lanes) > 1 or _is_alone then
        return taskmill.take_across(_lanes, _first, _want, _session, _is_alone, _now);
    end if;
    with taken as (
        delete from taskmill.waiting where ctid = any(array(
            select ctid from taskmill.waiting
            where lane = _lanes[1] and run_at between _first and _now and not has_lock
            order by run_at, job limit _want for update skip locked
        )) returning job
    )
    select coalesce(array_agg(job), '{}') into taken from taken;
    return taken;
end $$;

-- The same where lanes must be merged or locks asked for: round by round the next of all, of which some may not be had.
create or replace function taskmill.take_across(
    _lanes integer[], _first bigint, _want integer, _session bigint, _is_alone boolean, _now bigint
) returns bigint[] language plpgsql as $$
declare
    total bigint[] := '{}';
    behind record;
    candidates tid[];
    chosen bigint[];
begin
    select null::bigint as run_at, null::bigint as job into behind;
    loop
        -- Of each lane no more than could be wanted, then of all.
        candidates := array(
            select c.ctid from unnest(_lanes) l (id) cross join lateral (
                select w.ctid, w.run_at, w.job from taskmill.waiting w
                where w.lane = l.id and w.run_at between _first and _now
                and (behind.job is null or (w.run_at, w.job) > (behind.run_at, behind.job))
                order by w.run_at, w.job limit _want - cardinality(total)
            ) c
            order by c.run_at, c.job limit _want - cardinality(total)
        );
        exit when cardinality(candidates) = 0;
        select run_at, job into behind from taskmill.waiting where ctid = candidates[cardinality(candidates)];
        chosen := array(
            select job from taskmill.waiting where ctid = any(candidates) and (not has_lock or _is_alone)
            order by run_at, job for update skip locked
        );
        if _is_alone then
            chosen := taskmill.with_their_locks(chosen, _session, _now);
        end if;
        delete from taskmill.waiting where ctid = any(candidates) and job = any(chosen);
        total := total || chosen;
        exit when cardinality(total) = _want or behind.job is null;
    end loop;
    return total;
end $$;

-- Those of the jobs that may run: each whose lock is free takes it, the others leave the line and wait for it.
create or replace function taskmill.with_their_locks(_refs bigint[], _session bigint, _now bigint) returns bigint[]
language plpgsql as $$
declare
    candidate record;
    chosen bigint[] := '{}';
begin
    for candidate in
        select id, lane, run_at, lock from unnest(_refs) with ordinality r (ref, number)
        join taskmill.job on id = ref order by number
    loop
        if candidate.lock is not null then
            insert into taskmill.lock (name, session, job, since)
            values (candidate.lock, _session, candidate.id, _now) on conflict do nothing;
            if not found then
                delete from taskmill.waiting
                where lane = candidate.lane and run_at = candidate.run_at and job = candidate.id;
                update taskmill.job set waits_for = candidate.lock where id = candidate.id;
                continue;
            end if;
        end if;
        chosen := chosen || candidate.id;
    end loop;
    return chosen;
end $$;
