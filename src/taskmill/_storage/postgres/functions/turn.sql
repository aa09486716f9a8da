-- One turn, in one call: settle, expire, claim, and what is next. Its first row tells what it did, those after it are what
-- the session holds under this claim.
--   _refs .. _results: settlements of jobs that succeeded and touch no other row; _others: all the rest, as rows of json
--   _is_repeat: the number of the claim may have been used before
--   _listener: takes no more rings, because it does not rest
create or replace function taskmill.turn(
    _session bigint, _claim bigint, _is_repeat boolean, _refs bigint[], _fences bigint[], _starts bigint[],
    _results text[], _others json, _wants json, _queues text[], _knows text[], _listener bigint, _wall bigint
) returns setof taskmill.claimed language plpgsql as $$
declare
    _now bigint := taskmill.clock(_wall);
    news taskmill.news := taskmill.no_news();
    is_alone boolean;
    next_at bigint;
    claimed integer := 0;
    remaining json := _wants;
    settlement record;
begin
    perform taskmill.alone_with(_session);
    is_alone := coalesce(taskmill.next_expiry() <= _now, false) or taskmill.is_about_others(_others) or exists (
        select 1 from taskmill.job where state = 'queued' and waits_for is null and lock is not null
    );
    if is_alone then
        perform taskmill.alone();
    end if;
    if cardinality(_refs) > 0 then
        news := taskmill.settle_plain(news, _session, _refs, _fences, _starts, _results, _now);
    end if;
    for settlement in
        select * from json_to_recordset(_others) as s (
            number integer, ref bigint, fence bigint, started_at bigint, state text, event text, result text, error text,
            reason text, delay bigint, hand_back boolean, hand_on boolean, acquits boolean, crashes integer
        )
    loop
        news := taskmill.settle(
            news, _session, settlement.number, settlement.ref, settlement.fence, settlement.started_at,
            settlement.state, settlement.event, settlement.result, settlement.error, settlement.reason,
            settlement.delay, settlement.hand_back, settlement.hand_on, settlement.acquits, settlement.crashes, _now
        );
    end loop;
    if is_alone then
        news := taskmill.expire(news, _now);
    end if;
    claimed := taskmill.claim(_session, _claim, _is_repeat, _wants, _queues, _knows, is_alone, _now);
    news.changed := news.changed or claimed > 0;
    if _listener is not null then
        update taskmill.listener set room = 0 where id = _listener and room > 0;
    end if;
    perform taskmill.tell(news);
    select min(run_at) into next_at from taskmill.look(_wants, _queues, _knows);
    return next row(
        null, null, null, null, null, null, null, null, null,
        json_build_object(
            'news', news, 'next_at', least(next_at, taskmill.next_expiry())
        ), null, null, null
    )::taskmill.claimed;
    if claimed > 0 or _is_repeat then
        return query
        select
            j.id, j.job_id, j.task, l.queue, substr(l.executor, 1, 9), j.attempt, j.max_attempts, j.fence,
            j.lock is null and j.pipeline is null and j.result_ttl > 0 and not j.cancel_requested, j.args,
            case when j.step > 0 then (
                select b.result from taskmill.job b where b.pipeline = j.pipeline and b.step = j.step - 1
            ) end, j.headers, j.crashes
        from taskmill.job j join taskmill.lane l on l.id = j.lane
        where j.state = 'running' and j.session = _session and j.claim = _claim
        order by l.priority desc, j.run_at, j.id;
    end if;
end $$;

-- Whether one of the settlements may touch rows besides that of its job, or queue one whose time is over.
create or replace function taskmill.is_about_others(_others json) returns boolean language sql stable as $$
    select exists (
        select 1 from json_to_recordset(_others) as s (ref bigint) join taskmill.job on id = s.ref
        where lock is not null or pipeline is not null or expires_at is not null
    )
$$;

-- By priority (high first) from the lanes that are due; how many it were.
create or replace function taskmill.claim(
    _session bigint, _claim bigint, _is_repeat boolean, _wants json, _queues text[], _knows text[],
    _is_alone boolean, _now bigint
) returns integer language plpgsql as $$
declare
    claimed jsonb := '{}';
    total integer := 0;
    want integer;
    taken integer;
    due record;
begin
    if not exists (select 1 from taskmill.session where id = _session) or (_is_repeat and exists (
        select 1 from taskmill.job where state = 'running' and session = _session and claim = _claim
    )) then
        return 0;
    end if;
    for due in
        select serves, priority, array_agg(lane) as lanes from taskmill.look(_wants, _queues, _knows)
        where run_at <= _now group by serves, priority order by priority desc, serves
    loop
        want := (_wants ->> due.serves)::integer - coalesce((claimed ->> due.serves)::integer, 0);
        if want > 0 then
            taken := taskmill.claim_from(due.lanes, want, _session, _claim, _is_alone, _now);
            claimed := jsonb_set(
                claimed, array[due.serves], to_jsonb(coalesce((claimed ->> due.serves)::integer, 0) + taken)
            );
            total := total + taken;
        end if;
    end loop;
    return total;
end $$;
