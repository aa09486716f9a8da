-- Jobs that come in by a transaction of somebody else's, which may stay open for long: it must hold nothing that anybody
-- waits for.

-- Which database this is, as two connections see it that may reach it by different ways.
create or replace function taskmill.place() returns text language sql stable as $$
    select extract(epoch from pg_postmaster_start_time()) || ' ' || oid from pg_database where datname = current_database()
$$;

-- What is done by a transaction of our own: a lane that is made in one that stays open would keep all others waiting that
-- enqueue into it.
create or replace function taskmill.before_adding_within(_jobs json) returns text language plpgsql as $$
begin
    perform taskmill.lane_of(j.queue, j.executor, j.priority)
    from (select distinct queue, executor, priority from taskmill.calls(_jobs)) j;
    return taskmill.place();
end $$;

-- As `add`, but nothing and `is_here` false where this is not the database of *_place*.
create or replace function taskmill.add_within(
    _jobs json, _count integer, _wall bigint, _place text, out is_here boolean, out ids text[]
)
language plpgsql as $$
declare
    has_changed boolean;
begin
    is_here := taskmill.place() = _place;
    if not is_here then
        return;
    end if;
    -- Carefully, for a statement that fails ends the caller's transaction.
    select s.changed, s.ids into has_changed, ids from taskmill.store(_jobs, _count, true, _wall) s;
    -- All who rest, and not one of them, whose row would be locked until the commit.
    if has_changed then
        perform pg_notify('taskmill', 'jobs 0');
    end if;
end $$;
