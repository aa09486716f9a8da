-- name: add
select taskmill.add_tallies(%s, %s);

-- name: series
select minute, task, event, bucket, number from taskmill.tally
where minute >= %(since)s and (%(task)s::text is null or task = %(task)s)
order by minute, task, event, bucket;
