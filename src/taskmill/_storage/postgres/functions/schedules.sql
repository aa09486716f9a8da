-- A new schedule, or one whose spec changed, owes nothing before now.
create or replace function taskmill.register(
    _name text, _task text, _spec text, _wall bigint, out changed boolean, out state taskmill.schedule
) language plpgsql as $$
begin
    insert into taskmill.schedule as s (name, task, spec, last_slot)
    values (_name, _task, _spec, taskmill.clock(_wall))
    on conflict (name) do update
    set task = excluded.task, spec = excluded.spec,
        last_slot = case when s.spec = excluded.spec then s.last_slot else excluded.last_slot end
    where (s.task, s.spec) is distinct from (excluded.task, excluded.spec);
    changed := found;
    select * into state from taskmill.schedule where name = _name;
end $$;

-- Each slot once: whoever comes second, or knows too little, finds another last_slot. _job: what is to be added, or null.
create or replace function taskmill.fire(
    _name text, _after bigint, _slot bigint, _job json, _job_id text, _skipped bigint, _wall bigint
) returns boolean language plpgsql as $$
begin
    update taskmill.schedule
    set last_slot = _slot, fired = fired + (_job is not null)::integer, skipped = skipped + _skipped,
        last_job = coalesce(_job_id, last_job)
    where name = _name and last_slot = _after and last_slot < _slot and paused_at is null;
    if not found then
        return false;
    end if;
    if _job is not null then
        perform taskmill.add(_job, 1, true, _wall);
    end if;
    return true;
end $$;

create or replace function taskmill.pause_schedule(_name text, _wall bigint) returns boolean language plpgsql as $$
begin
    update taskmill.schedule set paused_at = taskmill.clock(_wall) where name = _name and paused_at is null;
    return found;
end $$;

-- What the pause went over is not made up for.
create or replace function taskmill.resume_schedule(_name text, _wall bigint) returns boolean language plpgsql as $$
begin
    update taskmill.schedule set paused_at = null, last_slot = greatest(last_slot, taskmill.clock(_wall))
    where name = _name and paused_at is not null;
    return found;
end $$;
