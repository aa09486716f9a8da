-- name: register
select changed, (state).* from taskmill.register(%s, %s, %s, %s);

-- name: fire
select taskmill.fire(%(name)s, %(after)s, %(slot)s, %(job)s, %(job_id)s, %(skipped)s, %(wall)s);

-- name: all
select name, task, spec, last_slot, fired, skipped, last_job, paused_at from taskmill.schedule order by name;

-- name: pause
select taskmill.pause_schedule(%s, %s);

-- name: resume
select taskmill.resume_schedule(%s, %s);
