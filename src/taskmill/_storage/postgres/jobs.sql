-- name: add
select changed, ids from taskmill.add(%s, %s, %s);

-- name: turn
select * from taskmill.turn(
    %(session)s, %(claim)s, %(is_repeat)s, %(refs)s, %(fences)s, %(starts)s, %(results)s, %(others)s, %(wants)s,
    %(queues)s, %(knows)s, %(listener)s, %(wall)s
);

-- name: bury
select to_json(taskmill.bury(%(session)s, %(refs)s, %(fences)s, %(alone)s, %(fates)s, %(wall)s));

-- name: cancel
select answer, to_json(news) from taskmill.cancel(%s, %s);

-- name: unwanted
select job_id, fence from taskmill.job where state = 'running' and session = %s and cancel_requested;

-- name: retry
select taskmill.retry(%s, %s);

-- name: prune
select taskmill.prune(%s, %s);

-- name: purge
select taskmill.purge(%s, %s, %s);
