-- What people, and those who clear up, do to jobs.

create or replace function taskmill.cancel(_job_id text, _wall bigint, out answer text, out news taskmill.news)
language plpgsql as $$
declare
    found_job record;
    _now bigint := taskmill.clock(_wall);
begin
    perform taskmill.alone();
    news := taskmill.no_news();
    select * into found_job from taskmill.job where job_id = _job_id;
    if not found then
        answer := 'missing';
    elsif taskmill.seize(found_job.id, true) then
        answer := 'cancelled';
        news := taskmill.cancel_one(news, found_job.id, _job_id, 'revoked', _now);
        news := taskmill.after_cancel(news, found_job.lock, found_job.pipeline, found_job.step, _now);
        perform taskmill.tell(news);
    else
        update taskmill.job set cancel_requested = true where id = found_job.id and state = 'running';
        answer := case when found then 'requested' else 'ended' end;
        news.changed := found;
        if found then
            perform pg_notify('taskmill', 'changed');
        end if;
    end if;
end $$;

create or replace function taskmill.retry(_job_id text, _wall bigint) returns boolean language plpgsql as $$
declare
    found_job record;
    following record;
begin
    perform taskmill.alone();
    select * into found_job from taskmill.job where job_id = _job_id for update;
    if not found or found_job.state not in ('failed', 'cancelled') or (found_job.step > 0 and not exists (
        select 1 from taskmill.job
        where pipeline = found_job.pipeline and step = found_job.step - 1 and state = 'succeeded'
    )) then
        return false;
    end if;
    if found_job.error is not null then
        insert into taskmill.attempt (job, number, outcome, started_at, ended_at, error, session)
        values (
            found_job.id, found_job.attempt, found_job.state, found_job.started_at, found_job.ended_at,
            found_job.error, found_job.session
        );
    end if;
    update taskmill.job
    set state = 'queued', run_at = taskmill.clock(_wall), max_attempts = greatest(max_attempts, attempt + 1),
        ended_at = null, kept_for = null, error = null, reason = null, result = null, cancel_requested = false,
        expires_at = null, crashes = 0
    where id = found_job.id;
    perform taskmill.line_up(array[found_job.id]);
    -- Up to the first that was cancelled for its own sake or is gone: none behind it would ever have its turn.
    for following in
        select id, step, reason from taskmill.job
        where pipeline = found_job.pipeline and step > found_job.step order by step
    loop
        found_job.step := found_job.step + 1;
        exit when following.step <> found_job.step
            or following.reason is distinct from 'a step before it did not succeed';
        update taskmill.job
        set state = 'blocked', ended_at = null, kept_for = null, error = null, reason = null, expires_at = null
        where id = following.id;
    end loop;
    perform taskmill.ring();
    return true;
end $$;

create or replace function taskmill.prune(_limit integer, _wall bigint) returns text[] language plpgsql as $$
declare
    _now bigint := taskmill.clock(_wall);
    lifetime bigint;
    kept record;
    due bigint[];
    rest bigint[];
    gone bigint[] := '{}';
    names text[];
begin
    if not exists (
        select 1 from taskmill.lifetimes() l (kept_for)
        where exists (select 1 from taskmill.ended e where e.kept_for = l.kept_for and e.ended_at <= _now - l.kept_for)
    ) then
        return '{}';
    end if;
    perform taskmill.alone();
    for lifetime in select * from taskmill.lifetimes() loop
        for kept in
            select ctid, ended_at, jobs from taskmill.ended
            where kept_for = lifetime and ended_at <= _now - lifetime order by ended_at limit _limit
        loop
            exit when cardinality(gone) >= _limit;
            due := array(
                select id from taskmill.job
                where id = any(kept.jobs) and ended_at = kept.ended_at and kept_for = lifetime
                and not taskmill.is_needed(pipeline, step)
                order by id limit _limit - cardinality(gone)
            );
            rest := array(
                select id from taskmill.job
                where id = any(kept.jobs) and ended_at = kept.ended_at and kept_for = lifetime and id <> all(due)
            );
            if cardinality(rest) = 0 then
                delete from taskmill.ended where ctid = kept.ctid;
            elsif cardinality(rest) < cardinality(kept.jobs) then
                update taskmill.ended set jobs = rest where ctid = kept.ctid;
            end if;
            gone := gone || due;
        end loop;
    end loop;
    names := array(select job_id from taskmill.job where id = any(gone));
    perform taskmill.delete_jobs(gone);
    perform taskmill.tell(row('{}', names, '{}', false, true)::taskmill.news);
    return names;
end $$;

-- How long jobs that have ended are kept; each found by one look into the index.
create or replace function taskmill.lifetimes() returns setof bigint language plpgsql stable as $$
begin
    return query
    with recursive lifetime (kept_for) as (
        select min(kept_for) from taskmill.ended
        union all
        select (select min(kept_for) from taskmill.ended where kept_for > lifetime.kept_for)
        from lifetime where kept_for is not null
    )
    select kept_for from lifetime where kept_for is not null;
end $$;

create or replace function taskmill.purge(_queue text, _ended boolean, _limit integer) returns text[]
language plpgsql as $$
begin
    perform taskmill.alone();
    if _ended then
        return taskmill.delete_ended(array(
            select j.id from taskmill.job j join taskmill.lane l on l.id = j.lane
            where j.ended_at is not null and (_queue is null or l.queue = _queue)
            and not taskmill.is_needed(j.pipeline, j.step) order by j.id limit _limit
        ));
    end if;
    return taskmill.delete_waiting(array(
        select j.id from taskmill.job j join taskmill.lane l on l.id = j.lane
        where j.state in ('queued', 'blocked') and (_queue is null or l.queue = _queue)
        order by j.id limit _limit
    ));
end $$;

create or replace function taskmill.delete(_job_ids text[]) returns text[] language plpgsql as $$
declare
    wanted text;
    gone text[] := '{}';
begin
    perform taskmill.alone();
    foreach wanted in array _job_ids loop
        gone := gone || taskmill.delete_waiting(array(
            select id from taskmill.job where job_id = wanted and state in ('queued', 'blocked')
        )) || taskmill.delete_ended(array(
            select id from taskmill.job
            where job_id = wanted and ended_at is not null and not taskmill.is_needed(pipeline, step)
        ));
    end loop;
    return gone;
end $$;

create or replace function taskmill.delete_ended(_refs bigint[]) returns text[] language plpgsql as $$
declare
    names text[] := array(select job_id from taskmill.job where id = any(_refs));
begin
    perform taskmill.delete_jobs(_refs);
    perform taskmill.tell(row('{}', names, '{}', false, true)::taskmill.news);
    return names;
end $$;

-- With the blocked steps behind them; what somebody is about to claim stays. The caller is alone.
create or replace function taskmill.delete_waiting(_refs bigint[]) returns text[] language plpgsql as $$
declare
    gone bigint[] := array(select ref from unnest(_refs) ref where taskmill.seize(ref, false));
    names text[];
    locks text[];
    awaited text;
    news taskmill.news := taskmill.no_news();
begin
    gone := gone || array(
        select later.id from taskmill.job j
        join taskmill.job later on later.pipeline = j.pipeline and later.step > j.step
        where j.id = any(gone) and later.state = 'blocked'
    );
    locks := array(select distinct lock from taskmill.job where id = any(gone) and lock is not null);
    names := array(select job_id from taskmill.job where id = any(gone));
    perform taskmill.delete_jobs(gone);
    foreach awaited in array locks loop
        news := taskmill.wake_waiter(news, awaited);
    end loop;
    news.ended := names;
    perform taskmill.tell(news);
    return names;
end $$;

create or replace function taskmill.pause(_queue text, _wall bigint) returns boolean language plpgsql as $$
begin
    insert into taskmill.pause (queue, since) values (_queue, taskmill.clock(_wall)) on conflict do nothing;
    return found;
end $$;

create or replace function taskmill.resume(_queue text) returns boolean language plpgsql as $$
begin
    delete from taskmill.pause where queue = _queue;
    if found then
        perform taskmill.ring();
        return true;
    end if;
    return false;
end $$;

create or replace function taskmill.hasten(_job_id text, _wall bigint) returns boolean language plpgsql as $$
declare
    ref bigint;
    _now bigint := taskmill.clock(_wall);
begin
    perform taskmill.alone();
    select id into ref from taskmill.job where job_id = _job_id and state = 'queued' and run_at > _now;
    if not found or not taskmill.seize(ref, false) then
        return false;
    end if;
    update taskmill.job set run_at = _now where id = ref;
    perform taskmill.line_up(array[ref]);
    perform taskmill.ring();
    return true;
end $$;
