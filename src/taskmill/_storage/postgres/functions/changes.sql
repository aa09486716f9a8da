-- What operations share. They collect in a taskmill.news what others are to be told. In PL/pgSQL, also where one statement
-- would do in SQL: that is planned anew at each call.

-- The store's clock: that of the server, unless a test brings its own.
create or replace function taskmill.clock(given bigint) returns bigint language sql volatile as $$
    select coalesce(given, (extract(epoch from clock_timestamp()) * 1000000)::bigint)
$$;

-- What touches rows besides those of its own session (locks, pipelines, what has ended) is done by one at a time. Whoever
-- needs this asks for it before it locks any row, or two could wait for each other.
create or replace function taskmill.alone() returns void language plpgsql as $$
begin
    perform taskmill.one_at_a_time(7262, 0);
end $$;

-- What a session holds changes by its own turns and by whoever ends it, one at a time.
create or replace function taskmill.alone_with(_session bigint) returns void language plpgsql as $$
begin
    perform taskmill.one_at_a_time(7263, (_session % 2000000000)::integer);
end $$;

-- That lock, until the transaction ends. It is held for moments, unless the client of who has it takes no answer or sends
-- nothing more: it stands still, or the way to it is gone without a word, which TCP may need hours to find out.
create or replace function taskmill.one_at_a_time(_kind integer, _number integer) returns void language plpgsql as $$
begin
    perform set_config('lock_timeout', '5000', true);
    if pg_try_advisory_xact_lock(_kind, _number) then
        return;
    end if;
    begin
        perform set_config('lock_timeout', '1000', true);
        perform pg_advisory_xact_lock(_kind, _number);
    exception when lock_not_available then
        perform taskmill.end_holder(_kind, _number, true);
        perform set_config('lock_timeout', '5000', true);
        perform pg_advisory_xact_lock(_kind, _number);
    end;
    perform set_config('lock_timeout', '5000', true);
end $$;

-- End the connection of who has that lock, perhaps only if it waits for its client: what it has not committed never was.
create or replace function taskmill.end_holder(_kind integer, _number integer, _if_waiting boolean) returns void
language plpgsql as $$
begin
    perform pg_terminate_backend(l.pid) from pg_locks l left join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.classid = _kind and l.objid = _number and l.granted
    and l.database = (select oid from pg_database where datname = current_database())
    and (not _if_waiting or a.state = 'idle in transaction' or a.wait_event = 'ClientWrite');
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
create or replace function taskmill.lane_beside(_lane integer, _executor text) returns integer language plpgsql as $$
begin
    return (
        select case when l.executor = _executor then l.id else taskmill.lane_of(l.queue, _executor, l.priority) end
        from taskmill.lane l where l.id = _lane
    );
end $$;

-- Let queued jobs stand in line.
create or replace function taskmill.line_up(_refs bigint[]) returns void language plpgsql as $$
begin
    insert into taskmill.waiting (lane, run_at, job, has_lock)
    select lane, run_at, id, lock is not null from taskmill.job
    where id = any(_refs) and state = 'queued' and waits_for is null;
end $$;

-- Take a job that has not begun out of the line and away from everybody else; false where it has, or somebody is about to
-- claim it, for whom is waited if it is wanted. First its place in the line, then its row, as a claim does: the other way
-- round, they could wait for each other.
create or replace function taskmill.seize(_ref bigint, _waits boolean) returns boolean language plpgsql as $$
declare
    place record;
begin
    select lane, run_at into place from taskmill.job where id = _ref and state = 'queued' and waits_for is null;
    if found and _waits then
        delete from taskmill.waiting where lane = place.lane and run_at = place.run_at and job = _ref;
    elsif found then
        delete from taskmill.waiting where ctid = (
            select ctid from taskmill.waiting
            where lane = place.lane and run_at = place.run_at and job = _ref for update skip locked
        );
        if not found then
            return false;
        end if;
    end if;
    perform 1 from taskmill.job where id = _ref and state in ('queued', 'blocked') for update;
    return found;
end $$;

-- What follows for jobs that have ended.
create or replace function taskmill.put_away(_refs bigint[]) returns void language plpgsql as $$
begin
    insert into taskmill.ended (kept_for, ended_at, jobs)
    select kept_for, ended_at, array_agg(id) from taskmill.job where id = any(_refs) group by kept_for, ended_at;
    perform taskmill.forget_expiry(_refs);
end $$;

create or replace function taskmill.forget_expiry(_refs bigint[]) returns void language plpgsql as $$
begin
    if exists (select 1 from taskmill.expiry) then
        delete from taskmill.expiry e using taskmill.job j
        where j.id = any(_refs) and e.expires_at = j.expires_at and e.job = j.id;
    end if;
end $$;

-- One that stands in no line.
create or replace function taskmill.cancel_one(
    inout news taskmill.news, _ref bigint, _job_id text, _reason text, _now bigint
) language plpgsql as $$
begin
    update taskmill.job
    set state = 'cancelled', reason = _reason, ended_at = _now, kept_for = result_ttl, waits_for = null, claim = null
    where id = _ref;
    perform taskmill.put_away(array[_ref]);
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
declare
    woken bigint;
begin
    update taskmill.job set waits_for = null
    where id = (
        select j.id from taskmill.job j join taskmill.lane l on l.id = j.lane
        where j.waits_for = _lock order by l.priority desc, j.run_at, j.id limit 1
    ) and not exists (select 1 from taskmill.lock where name = _lock)
    returning id into woken;
    if found then
        perform taskmill.line_up(array[woken]);
    end if;
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
    perform taskmill.forget_expiry(_refs);
    delete from taskmill.attempt where job = any(_refs);
    delete from taskmill.sheet where job = any(_refs);
    delete from taskmill.job where id = any(_refs);
end $$;

-- The jobs that a session holds, and those that it claimed under a number and still holds.
create or replace function taskmill.held_by(_session bigint) returns setof taskmill.job language plpgsql stable rows 10
as $$
begin
    return query
    select h.* from taskmill.claim c cross join taskmill.held_under(_session, c.number) h where c.session = _session;
end $$;

create or replace function taskmill.held_under(_session bigint, _claim bigint) returns setof taskmill.job
language plpgsql stable rows 10 as $$
begin
    return query
    select j.* from taskmill.claim c cross join unnest(c.jobs) r (ref) join taskmill.job j on j.id = r.ref
    where c.session = _session and c.number = _claim
    and j.session = _session and j.claim = _claim and j.state = 'running';
end $$;

-- Queue again what the session holds, free its locks, and forget it. The caller is alone with it, and alone.
create or replace function taskmill.take_back(
    inout news taskmill.news, _session bigint, _kind text, _now bigint
) language plpgsql as $$
declare
    refs bigint[] := array(select id from taskmill.held_by(_session));
    held record;
    freed text;
begin
    delete from taskmill.session where id = _session;
    news.changed := news.changed or found;
    delete from taskmill.claim where session = _session;
    update taskmill.job
    set state = 'queued', attempt = attempt - 1, rescues = rescues + (_kind = 'rescued')::integer, session = null,
        claim = null, claimed_at = null, started_at = null
    where id = any(refs);
    for held in select id, job_id, cancel_requested, pipeline, step from taskmill.job where id = any(refs) loop
        news.freed := true;
        if held.cancel_requested then
            news := taskmill.cancel_one(news, held.id, held.job_id, 'revoked', _now);
            news := taskmill.cancel_later(news, held.pipeline, held.step, _now);
        else
            news := taskmill.note(news, _kind, held.job_id, null);
        end if;
    end loop;
    perform taskmill.line_up(refs);
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
