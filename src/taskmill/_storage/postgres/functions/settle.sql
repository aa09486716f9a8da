-- How attempts end.

-- Many that succeeded and touch no other row, by parallel arrays. session and fence are the guard: a worker that lost its
-- job changes no row.
create or replace function taskmill.settle_plain(
    inout news taskmill.news, _session bigint, _refs bigint[], _fences bigint[], _starts bigint[], _results text[],
    _now bigint
) language plpgsql as $$
declare
    refs bigint[];
    names text[];
    claims bigint[];
begin
    with settled as (
        update taskmill.job
        set state = 'succeeded', started_at = s.started_at, result = s.result, ended_at = _now, kept_for = result_ttl
        from unnest(_refs, _fences, _starts, _results) as s (ref, fence, started_at, result)
        where job.id = s.ref
        -- In a case, which the planner knows nothing of: else it looks for the few that run, and not by their numbers.
        and case when job.session = _session and job.fence = s.fence and job.state = 'running' then true else false end
        returning job.id, job.job_id, job.kept_for, job.claim
    ),
    kept as (
        insert into taskmill.ended (kept_for, ended_at, jobs)
        select kept_for, _now, array_agg(id) from settled group by kept_for
    )
    select array_agg(id), array_agg(job_id), array_agg(claim) into refs, names, claims from settled;
    if refs is not null then
        news.changed := true;
        perform taskmill.let_go(_session, claims);
        perform taskmill.forget_expiry(refs);
        if exists (select 1 from taskmill.listener where waits) then
            news.ended := news.ended || names;
        end if;
    end if;
    if coalesce(cardinality(refs), 0) < cardinality(_refs) then
        news.stale := news.stale || array(
            select number::integer from unnest(_refs, _fences) with ordinality s (ref, fence, number)
            where not taskmill.is_recorded(_session, s.ref, s.fence)
        );
    end if;
end $$;

-- The session holds one job less of each of these claims: of one that it names twice, two.
create or replace function taskmill.let_go(_session bigint, _claims bigint[]) returns void language plpgsql as $$
declare
    part record;
begin
    for part in select claim, count(*) as jobs from unnest(_claims) c (claim) group by claim loop
        update taskmill.claim set held = held - part.jobs
        where session = _session and number = part.claim and held > part.jobs;
        if not found then
            delete from taskmill.claim where session = _session and number = part.claim;
        end if;
    end loop;
end $$;

-- By the same holder before, who may have claimed the job once more since.
create or replace function taskmill.is_recorded(_session bigint, _ref bigint, _fence bigint) returns boolean
language plpgsql stable as $$
begin
    return (
        select exists (
            select 1 from taskmill.job
            where id = _ref and session = _session and (fence > _fence or (fence = _fence and state <> 'running'))
        )
    );
end $$;

-- One, whatever it is: its columns are those of a transition. Where the job has a lock or is a step, the caller is alone.
create or replace function taskmill.settle(
    inout news taskmill.news, _session bigint, _number integer, _ref bigint, _fence bigint, _started_at bigint,
    _state text, _event text, _result text, _error text, _reason text, _delay bigint, _hand_back boolean,
    _hand_on boolean, _acquits boolean, _crashes integer, _kept boolean, _now bigint
) language plpgsql as $$
declare
    held record;
begin
    select * into held from taskmill.job
    where id = _ref and session = _session and fence = _fence and state = 'running' for update;
    if not found then
        if not taskmill.is_recorded(_session, _ref, _fence) then
            news.stale := news.stale || _number;
        end if;
        return;
    end if;
    news.changed := true;
    perform taskmill.let_go(_session, array[held.claim]);
    if _state = 'queued' then
        if _kept then
            insert into taskmill.attempt (job, number, outcome, started_at, ended_at, error, session)
            values (_ref, held.attempt, _event, _started_at, _now, _error, _session);
        end if;
        if _kept and _event = 'released' then
            -- As many as KEPT_RELEASES.
            delete from taskmill.attempt where id in (
                select id from taskmill.attempt where job = _ref and outcome = 'released' order by id desc offset 50
            );
        end if;
        if held.cancel_requested then
            _state := 'cancelled';
            _reason := 'revoked';
            _error := null;
            news := taskmill.note(news, 'cancelled', held.job_id, _reason);
        end if;
    end if;
    if _state = 'queued' then
        update taskmill.job
        set state = 'queued', attempt = attempt - _hand_back::integer, claim = null, crashes = crashes + _crashes,
            -- Given back at once, it keeps its place.
            run_at = case when _hand_back and _delay = 0 then run_at else _now + _delay end,
            claimed_at = case when _hand_back then null else claimed_at end,
            started_at = case when _hand_back then null else _started_at end
        where id = _ref;
        perform taskmill.place(held.id, _hand_on, _acquits);
        perform taskmill.line_up(array[_ref]);
        news.freed := true;
    else
        update taskmill.job
        set state = _state, result = _result, error = _error, reason = _reason, started_at = _started_at, claim = null,
            crashes = crashes + _crashes, ended_at = _now,
            -- 30 days.
            kept_for = case when _state = 'failed' then greatest(result_ttl, 2592000000000) else result_ttl end
        where id = _ref;
        perform taskmill.put_away(array[_ref]);
        if not held.job_id = any(news.ended) then
            news.ended := news.ended || held.job_id;
        end if;
        news := taskmill.follow_up(news, held.id, _state, held.pipeline, held.step, held.result_ttl, _now);
    end if;
    if held.lock is not null then
        delete from taskmill.lock where job = _ref and session = _session;
        if found then
            news := taskmill.wake_waiter(news, held.lock);
        end if;
    end if;
end $$;

-- Into the lane of who shall have it next.
create or replace function taskmill.place(_ref bigint, _hand_on boolean, _acquits boolean) returns void
language plpgsql as $$
begin
    if _acquits then
        update taskmill.job set lane = taskmill.lane_beside(lane, own_executor), own_executor = null
        where id = _ref and own_executor is not null;
    elsif _hand_on then
        update taskmill.job j
        set lane = taskmill.lane_beside(j.lane, 'elsewhere:' || j.task),
            own_executor = coalesce(j.own_executor, l.executor)
        from taskmill.lane l where l.id = j.lane and j.id = _ref and l.executor <> 'alone';
    end if;
end $$;

create or replace function taskmill.follow_up(
    inout news taskmill.news, _ref bigint, _state text, _pipeline text, _step integer, _result_ttl bigint, _now bigint
) language plpgsql as $$
declare
    unblocked record;
begin
    if _pipeline is not null and _state = 'succeeded' then
        update taskmill.job set state = 'queued', run_at = greatest(run_at, _now + delay)
        where pipeline = _pipeline and step = _step + 1 and state = 'blocked' returning id, job_id into unblocked;
        if found then
            perform taskmill.line_up(array[unblocked.id]);
            news := taskmill.note(news, 'unblocked', unblocked.job_id, null);
            news.freed := true;
        end if;
    elsif _pipeline is not null then
        news := taskmill.cancel_later(news, _pipeline, _step, _now);
    end if;
    if _state = 'succeeded' and _result_ttl = 0 and not taskmill.is_needed(_pipeline, _step) then
        perform taskmill.delete_jobs(array[_ref]);
    end if;
end $$;

-- Whether a later step has not ended, so that the result must stay.
create or replace function taskmill.is_needed(_pipeline text, _step integer) returns boolean language plpgsql stable as $$
begin
    return (
        select exists (
            select 1 from taskmill.job where pipeline = _pipeline and step > _step and ended_at is null
        )
    );
end $$;

-- Those whose time to be started is over; what somebody is about to claim is not. The caller is alone.
create or replace function taskmill.expire(inout news taskmill.news, _now bigint) language plpgsql as $$
declare
    expired record;
    seized boolean;
begin
    for expired in
        select j.id, j.job_id, j.lock, j.pipeline, j.step from taskmill.expiry e join taskmill.job j on j.id = e.job
        where e.expires_at <= _now and j.state in ('queued', 'blocked')
        -- The last steps first, or they would be cancelled for the sake of a step before them.
        order by j.step desc
    loop
        seized := taskmill.seize(expired.id, false);
        if seized then
            news := taskmill.cancel_one(news, expired.id, expired.job_id, 'expired', _now);
            news := taskmill.after_cancel(news, expired.lock, expired.pipeline, expired.step, _now);
        end if;
    end loop;
end $$;
