-- name: append
select taskmill.append_deed(%s, %s, %s);

-- name: page
select id, at, deed_id, who, origin, what, subject, number from taskmill.deed
where %(after)s::bigint is null or id < %(after)s
order by id desc limit %(limit)s;
