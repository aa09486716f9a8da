-- Sessions: a lease by the store's clock. _wall and _monotonic are given by tests only; _word as in `turn`.

create or replace function taskmill.open_session(
    _kind text, _parent bigint, _host text, _pid integer, _process text, _boot text, _slots text, _lease bigint,
    _serves text, _wall bigint, _monotonic bigint
) returns bigint language sql as $$
    insert into taskmill.session (
        kind, parent, host, pid, process, boot, slots, lease, leased_until, started_at, serves
    ) values (
        _kind, _parent, _host, _pid, _process, _boot, _slots, _lease, taskmill.clock(_monotonic) + _lease,
        taskmill.clock(_wall), _serves
    ) returning id
$$;

create or replace function taskmill.renew(_session bigint, _word text, _monotonic bigint) returns boolean
language plpgsql as $$
begin
    update taskmill.session set leased_until = taskmill.clock(_monotonic) + lease
    where id = _session and _word in ('', slots);
    return found;
end $$;

create or replace function taskmill.ask_to_stop(_session bigint) returns boolean language plpgsql as $$
begin
    update taskmill.session set is_asked_to_stop = true where id = _session and not is_asked_to_stop;
    return found;
end $$;

create or replace function taskmill.end_session(_session bigint, _wall bigint) returns taskmill.news
language plpgsql as $$
declare
    news taskmill.news := taskmill.no_news();
begin
    perform taskmill.alone_with(_session);
    perform taskmill.alone();
    news := taskmill.take_back(news, _session, 'released', taskmill.clock(_wall));
    perform taskmill.tell(news);
    return news;
end $$;

-- All sessions, with what tells whether they live, and whether a lock is free that somebody waits for.
create or replace function taskmill.known_sessions(_monotonic bigint)
returns table (id bigint, parent bigint, process text, boot text, slots text, is_silent boolean)
language plpgsql stable as $$
#variable_conflict use_column
begin
    return query
    select id, parent, process, boot, slots, leased_until < taskmill.clock(_monotonic) from taskmill.session;
end $$;

-- The locks that are free though somebody waits for them.
create or replace function taskmill.awaited_locks() returns setof text language plpgsql stable
-- By its index, however many jobs there are: asked four times a second.
set enable_seqscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
    return query
    select distinct waits_for from taskmill.job j
    where waits_for is not null and not exists (select 1 from taskmill.lock l where l.name = j.waits_for);
end $$;

-- Take back what dead sessions hold: of _candidates, those whose lease is still over, or whose process is gone (_gone).
create or replace function taskmill.rescue(
    _candidates bigint[], _gone bigint[], _wall bigint, _monotonic bigint, out rescued bigint[], out news taskmill.news
) language plpgsql as $$
declare
    candidate bigint;
    awaited text;
    _now bigint := taskmill.clock(_wall);
begin
    news := taskmill.no_news();
    rescued := '{}';
    for candidate in select c from unnest(_candidates) c order by c loop
        -- While a turn of it is under way, somebody lives.
        if taskmill.is_alone_with(candidate) then
            rescued := rescued || candidate;
        end if;
    end loop;
    perform taskmill.alone();
    rescued := array(
        select id from taskmill.session
        where id = any(rescued) and (id = any(_gone) or leased_until < taskmill.clock(_monotonic)) order by id
    );
    insert into taskmill.wish (session) select id from taskmill.session where id = any(rescued) and is_asked_to_stop;
    if found then
        -- As many as WISHES.
        delete from taskmill.wish where session <= (select max(w.session) from taskmill.wish w) - 10000;
    end if;
    foreach candidate in array rescued loop
        news := taskmill.take_back(news, candidate, 'rescued', _now);
    end loop;
    for awaited in select * from taskmill.awaited_locks() loop
        news := taskmill.wake_waiter(news, awaited);
    end loop;
    perform taskmill.tell(news);
end $$;

-- As alone_with, if that can be had at once. Where a turn of a session that gives no sign of life stands still, because its
-- client does not read the answer, that connection is ended: what it has not committed never was.
create or replace function taskmill.is_alone_with(_session bigint) returns boolean language plpgsql as $$
begin
    if pg_try_advisory_xact_lock(7263, (_session % 2000000000)::integer) then
        return true;
    end if;
    perform taskmill.end_holder(7263, (_session % 2000000000)::integer, false);
    return false;
end $$;

-- End the session of a process that crashed. _refs and _fences are what its slots name.
create or replace function taskmill.bury(
    _session bigint, _refs bigint[], _fences bigint[], _is_alone boolean, _fate json, _wall bigint
) returns taskmill.news language plpgsql as $$
declare
    _now bigint := taskmill.clock(_wall);
    news taskmill.news := taskmill.no_news();
    ran record;
    fate record;
begin
    perform taskmill.alone_with(_session);
    perform taskmill.alone();
    for ran in
        select j.* from unnest(_refs, _fences) r (ref, fence) join taskmill.job j on j.id = r.ref and j.fence = r.fence
        where j.session = _session and j.state = 'running'
    loop
        if _is_alone then
            -- What becomes of it, by how often it crashed before.
            select * into fate from json_to_record(_fate -> least(ran.crashes, json_array_length(_fate) - 1)) as f (
                state text, event text, error text, reason text
            );
            news := taskmill.settle(
                news, _session, 0, ran.id, ran.fence, ran.claimed_at, fate.state, fate.event, null, fate.error,
                fate.reason, 0, true, false, false, 1, true, _now
            );
            if fate.state <> 'queued' or not ran.cancel_requested then
                news := taskmill.note(news, fate.event, ran.job_id, fate.reason);
            end if;
        else
            update taskmill.job j
            set lane = taskmill.lane_beside(j.lane, 'alone'), own_executor = coalesce(j.own_executor, l.executor)
            from taskmill.lane l where l.id = j.lane and j.id = ran.id;
        end if;
    end loop;
    news := taskmill.take_back(news, _session, 'rescued', _now);
    perform taskmill.tell(news);
    return news;
end $$;
