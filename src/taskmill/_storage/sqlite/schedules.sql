-- name: register
-- A new schedule, or one whose spec changed, owes nothing before now.
insert into taskmill_schedule (name, task, spec, last_slot) values (:name, :task, :spec, :now)
on conflict (name) do update set
    task = excluded.task,
    last_slot = iif(spec = excluded.spec, last_slot, excluded.last_slot),
    spec = excluded.spec;

-- name: one
select name, task, spec, last_slot, fired, skipped, last_job, paused_at from taskmill_schedule where name = :name;

-- name: all
select name, task, spec, last_slot, fired, skipped, last_job, paused_at from taskmill_schedule order by name;

-- name: advance
-- Each slot once: whoever comes second, or knows too little, finds another last_slot.
update taskmill_schedule
set last_slot = :slot, fired = fired + :fired, skipped = skipped + :skipped, last_job = coalesce(:job_id, last_job)
where name = :name and last_slot = :after and last_slot < :slot and paused_at is null;

-- name: pause
update taskmill_schedule set paused_at = :now where name = :name and paused_at is null;

-- name: resume
-- What the pause went over is not made up for.
update taskmill_schedule set paused_at = null, last_slot = max(last_slot, :now)
where name = :name and paused_at is not null;
