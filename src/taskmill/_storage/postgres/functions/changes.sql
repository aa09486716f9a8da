-- What operations share. They collect in a taskmill.news what others are to be told.

-- The store's clock: that of the server, unless a test brings its own.
create or replace function taskmill.clock(given bigint) returns bigint language sql volatile as $$
    select coalesce(given, (extract(epoch from clock_timestamp()) * 1000000)::bigint)
$$;

-- What touches rows besides those of its own session (locks, pipelines, what has ended) is done by one at a time. Whoever
-- needs this asks for it before it locks any row, or two could wait for each other.
create or replace function taskmill.alone() returns void language plpgsql as $$
begin
    perform set_config('lock_timeout', '5000', true);
    perform pg_advisory_xact_lock(7262, 0);
end $$;

-- What a session holds changes by its own turns and by whoever ends it, one at a time.
create or replace function taskmill.alone_with(_session bigint) returns void language plpgsql as $$
begin
    perform set_config('lock_timeout', '5000', true);
    perform pg_advisory_xact_lock(7263, (_session % 2000000000)::integer);
end $$;

create or replace function taskmill.no_news() returns taskmill.news language sql immutable as $$
    select row('{}', '{}', '{}', false, false)::taskmill.news
$$;

create or replace function taskmill.note(inout news taskmill.news, _kind text, _job_id text, _reason text)
language plpgsql as $$
begin
    news.notices := news.notices || row(_kind, _job_id, _reason)::taskmill.notice;
    news.changed := true;
    if _kind = 'cancelled' then
        news.ended := news.ended || _job_id;
    end if;
end $$;

-- The lane of that queue, executor and priority, which is made if need be.
create or replace function taskmill.lane_of(_queue text, _executor text, _priority integer) returns integer
language plpgsql as $$
declare
    found_id integer;
begin
    select id into found_id from taskmill.lane
    where queue = _queue and executor = _executor and priority = _priority;
    if found_id is null then
        insert into taskmill.lane (queue, executor, priority) values (_queue, _executor, _priority)
        on conflict do nothing;
        select id into found_id from taskmill.lane
        where queue = _queue and executor = _executor and priority = _priority;
    end if;
    return found_id;
end $$;

-- The lane beside *lane* for another executor.
create or replace function taskmill.lane_beside(_lane integer, _executor text) returns integer language sql as $$
    select case when l.executor = _executor then l.id else taskmill.lane_of(l.queue, _executor, l.priority) end
    from taskmill.lane l where l.id = _lane
$$;

create or replace function taskmill.cancel_one(
    inout news taskmill.news, _ref bigint, _job_id text, _reason text, _now bigint
) language plpgsql as $$
begin
    update taskmill.job
    set state = 'cancelled', reason = _reason, ended_at = _now, kept_for = result_ttl, waits_for = null, claim = null
    where id = _ref;
    news := taskmill.note(news, 'cancelled', _job_id, _reason);
end $$;

-- The steps that can no longer have their turn.
create or replace function taskmill.cancel_later(
    inout news taskmill.news, _pipeline text, _step integer, _now bigint
) language plpgsql as $$
declare
    later record;
begin
    for later in
        select id, job_id from taskmill.job
        where pipeline = _pipeline and step > _step and state = 'blocked' order by step
    loop
        news := taskmill.cancel_one(news, later.id, later.job_id, 'a step before it did not succeed', _now);
    end loop;
end $$;

-- Let the first job that waits for the lock be claimed again; while it is held, whoever frees it asks again.
create or replace function taskmill.wake_waiter(inout news taskmill.news, _lock text) language plpgsql as $$
begin
    update taskmill.job set waits_for = null
    where id = (
        select j.id from taskmill.job j join taskmill.lane l on l.id = j.lane
        where j.waits_for = _lock order by l.priority desc, j.run_at, j.id limit 1
    ) and not exists (select 1 from taskmill.lock where name = _lock);
    news.freed := true;
    news.changed := true;
end $$;

-- What follows when a waiting job is cancelled: its pipeline ends, its place at the lock is free.
create or replace function taskmill.after_cancel(
    inout news taskmill.news, _lock text, _pipeline text, _step integer, _now bigint
) language plpgsql as $$
begin
    if _pipeline is not null then
        news := taskmill.cancel_later(news, _pipeline, _step, _now);
    end if;
    if _lock is not null then
        news := taskmill.wake_waiter(news, _lock);
    end if;
end $$;

create or replace function taskmill.delete_jobs(_refs bigint[]) returns void language plpgsql as $$
begin
    delete from taskmill.attempt where job = any(_refs);
    delete from taskmill.job where id = any(_refs);
end $$;

-- Queue again what the session holds, free its locks, and forget it. The caller is alone with it, and alone.
create or replace function taskmill.take_back(
    inout news taskmill.news, _session bigint, _kind text, _now bigint
) language plpgsql as $$
declare
    held record;
    freed text;
begin
    delete from taskmill.session where id = _session;
    news.changed := news.changed or found;
    for held in
        update taskmill.job
        set state = 'queued', attempt = attempt - 1, rescues = rescues + (_kind = 'rescued')::integer, session = null,
            claim = null, claimed_at = null, started_at = null
        where state = 'running' and session = _session
        returning id, job_id, cancel_requested, pipeline, step
    loop
        news.freed := true;
        if held.cancel_requested then
            news := taskmill.cancel_one(news, held.id, held.job_id, 'revoked', _now);
            news := taskmill.cancel_later(news, held.pipeline, held.step, _now);
        else
            news := taskmill.note(news, _kind, held.job_id, null);
        end if;
    end loop;
    for freed in delete from taskmill.lock where session = _session returning name loop
        news := taskmill.wake_waiter(news, freed);
    end loop;
end $$;

-- Notify other processes, once this is committed: one that has room for any job, else all that have some; and those in
-- which somebody waits for a result. Where nobody asks for it, nothing is sent: a notification makes commits wait for
-- each other.
create or replace function taskmill.tell(news taskmill.news) returns void language plpgsql as $$
begin
    if news.freed then
        perform taskmill.ring();
    end if;
    if cardinality(news.ended) > 0 and exists (select 1 from taskmill.listener where waits) then
        -- A notification holds 8,000 bytes.
        perform pg_notify('taskmill', 'ended ' || string_agg(job_id, ' '))
        from unnest(news.ended) with ordinality e(job_id, number) group by number / 100;
    end if;
end $$;

create or replace function taskmill.ring() returns void language plpgsql as $$
declare
    rung bigint;
begin
    if not exists (select 1 from taskmill.listener where room > 0) then
        return;
    end if;
    -- Taken off: who rings next rings the next one. It says anew when it rests again.
    update taskmill.listener set room = 0
    where id = (select id from taskmill.listener where room = 2 limit 1 for update skip locked)
    returning id into rung;
    perform pg_notify('taskmill', 'jobs ' || coalesce(rung, 0));
end $$;
