-- name: add_one
select taskmill.add_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17);

-- name: add_alike
select taskmill.add_alike($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17);

-- name: add
select to_json(taskmill.add($1, $2, $3, $4));

-- name: turn
select taskmill.turn($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: bury
select to_json(taskmill.bury(%(session)s, %(refs)s, %(fences)s, %(alone)s, %(fates)s, %(wall)s));

-- name: cancel
select answer, to_json(news) from taskmill.cancel(%s, %s);

-- name: unwanted
select to_json(array(
    select json_build_array(j.job_id, j.fence)
    from taskmill.claim c cross join unnest(c.jobs) r (ref) join taskmill.job j on j.id = r.ref
    where c.session = $1 and j.session = $1 and j.claim = c.number and j.state = 'running' and j.cancel_requested
));

-- name: retry
select taskmill.retry(%s, %s);

-- name: prune
select taskmill.prune(%s, %s);

-- name: purge
select taskmill.purge(%s, %s, %s);

-- name: delete
select taskmill.delete(%s);

-- name: pause
select taskmill.pause(%s, %s);

-- name: resume
select taskmill.resume(%s);

-- name: hasten
select taskmill.hasten(%s, %s);
