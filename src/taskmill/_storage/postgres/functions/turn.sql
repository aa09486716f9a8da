-- One turn, in one call: settle, expire, claim, and what is next; claimed is what the session holds under this claim, each as
-- an array of the fields of a Claimed.
--   _word: what says that the session is meant, and not one of the same number in a database of before or after; or ''
--   _refs .. _results: settlements of jobs that succeeded and touch no other row; _others: all the rest, as rows of json, or null
--   _since: where lines begin, as far as the caller knows; passed: of how many places at their beginning the jobs are gone
--   _listener: takes no more rings if something was claimed, because it does not rest then
create or replace function taskmill.turn(
    _session bigint, _word text, _claim bigint, _refs bigint[], _fences bigint[], _starts bigint[],
    _results text[], _others json, _wants json, _queues text[], _knows text[], _since json, _listener bigint,
    _wall bigint
) returns json language plpgsql
-- By its indexes, whatever the statistics say, which tell of another moment: a few rows of many are all that it touches. And
-- as planned once: the planner takes half a millisecond, for the same.
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    _now bigint := taskmill.clock(_wall);
    news taskmill.news := taskmill.no_news();
    is_meant boolean;
    is_alone boolean;
    next_at bigint;
    passed bigint;
    begins json;
    claimed json;
    settlement record;
begin
    perform taskmill.alone_with(_session);
    -- Null where there is none.
    select _word in ('', slots) into is_meant from taskmill.session where id = _session;
    if not is_meant then
        -- Nobody's number.
        _session := -1;
    end if;
    is_alone := exists (select 1 from taskmill.waiting where has_lock)
        or exists (select 1 from taskmill.next_expiry() where expires_at <= _now)
        or (_others is not null and taskmill.is_about_others(_others));
    if is_alone then
        perform taskmill.alone();
    end if;
    if cardinality(_refs) > 0 then
        news := taskmill.settle_plain(news, _session, _refs, _fences, _starts, _results, _now);
    end if;
    for settlement in
        select * from json_to_recordset(_others) as s (
            number integer, ref bigint, fence bigint, started_at bigint, state text, event text, result text, error text,
            reason text, delay bigint, hand_back boolean, hand_on boolean, acquits boolean, crashes integer,
            kept boolean
        )
    loop
        news := taskmill.settle(
            news, _session, settlement.number, settlement.ref, settlement.fence, settlement.started_at,
            settlement.state, settlement.event, settlement.result, settlement.error, settlement.reason,
            settlement.delay, settlement.hand_back, settlement.hand_on, settlement.acquits, settlement.crashes,
            settlement.kept, _now
        );
    end loop;
    if is_alone then
        news := taskmill.expire(news, _now);
    end if;
    -- What a turn under the same number claimed, whose reply was lost.
    if exists (select 1 from taskmill.claim where session = _session and number = _claim) then
        claimed := taskmill.claimed_under(_session, _claim);
    elsif is_meant then
        claimed := taskmill.claim(_session, _claim, _wants, _queues, _knows, _since, is_alone, _now);
        news.changed := news.changed or claimed is not null;
    end if;
    if _listener is not null and claimed is not null then
        update taskmill.listener set room = 0 where id = _listener and room > 0;
    end if;
    perform taskmill.tell(news);
    passed := taskmill.places_read();
    -- Whoever enqueues at this moment has read the clock before: some seconds are left to them.
    select min(run_at), json_object_agg(lane, least(run_at, _now - 5000000)) into next_at, begins
    from taskmill.look(_wants, _queues, _knows, _since);
    passed := taskmill.places_read() - passed;
    return json_build_object(
        'news', news, 'next_at', least(next_at, (select expires_at from taskmill.next_expiry())), 'passed', passed,
        'begins', begins, 'claimed', claimed
    );
end $$;

-- What the session claimed under that number and still holds, as `claim` has told it.
create or replace function taskmill.claimed_under(_session bigint, _claim bigint) returns json language plpgsql stable as $$
begin
    return (
        select json_agg(taskmill.told(j, l) order by l.priority desc, j.run_at, j.id)
        from taskmill.held_under(_session, _claim) j join taskmill.lane l on l.id = j.lane
    );
end $$;

-- The fields of a Claimed. In SQL, and an expression only, so that it is made a part of the statement that asks for it.
create or replace function taskmill.told(j taskmill.job, l taskmill.lane) returns json language sql stable as $$
    select json_build_array(
        j.id, j.job_id, j.task, l.queue, substr(l.executor, 1, 9), j.attempt, j.max_attempts, j.fence,
        j.lock is null and j.pipeline is null and j.result_ttl > 0 and not j.cancel_requested, j.args,
        case when j.step > 0 then taskmill.result_before(j.pipeline, j.step) end, j.headers, j.crashes, j.run_at
    )
$$;

create or replace function taskmill.result_before(_pipeline text, _step integer) returns text language plpgsql stable as $$
begin
    return (select result from taskmill.job where pipeline = _pipeline and step = _step - 1);
end $$;

-- Whether one of the settlements may touch rows besides that of its job, or queue one whose time is over.
create or replace function taskmill.is_about_others(_others json) returns boolean language plpgsql stable as $$
begin
    return (
        select exists (
            select 1 from json_to_recordset(_others) as s (ref bigint) join taskmill.job on id = s.ref
            where lock is not null or pipeline is not null or expires_at is not null
        )
    );
end $$;

-- By priority (high first) from the lanes that are due; what they are, or null.
create or replace function taskmill.claim(
    _session bigint, _claim bigint, _wants json, _queues text[], _knows text[], _since json, _is_alone boolean, _now bigint
) returns json language plpgsql as $$
declare
    -- Of each executor, how many it were.
    counts jsonb := '{}';
    total bigint[] := '{}';
    taken bigint[];
    want integer;
    due record;
    claimed json;
begin
    for due in
        select serves, array_agg(lane) as lanes, min(run_at) as first from taskmill.look(_wants, _queues, _knows, _since)
        where run_at <= _now group by serves, priority order by priority desc, serves
    loop
        want := (_wants ->> due.serves)::integer - coalesce((counts ->> due.serves)::integer, 0);
        if want > 0 then
            taken := taskmill.take(due.lanes, due.first, want, _session, _is_alone, _now);
            counts := jsonb_set(
                counts, array[due.serves],
                to_jsonb(coalesce((counts ->> due.serves)::integer, 0) + cardinality(taken))
            );
            total := total || taken;
        end if;
    end loop;
    if cardinality(total) = 0 then
        return null;
    end if;
    insert into taskmill.claim (session, number, jobs, held) values (_session, _claim, total, cardinality(total));
    with claimed as (
        update taskmill.job j
        set state = 'running', session = _session, claim = _claim, fence = fence + 1, attempt = attempt + 1,
            claimed_at = _now, started_at = null
        from unnest(total) r (ref), taskmill.lane l
        where j.id = r.ref and l.id = j.lane
        returning l.priority, j.run_at, j.id, taskmill.told(j, l) as told
    )
    select json_agg(told order by priority desc, run_at, id) into claimed from claimed;
    return claimed;
end $$;
