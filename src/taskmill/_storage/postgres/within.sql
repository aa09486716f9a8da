-- name: before_adding_within
select taskmill.before_adding_within(%s);

-- name: add_within
select is_here, ids from taskmill.add_within(%s::json, %s::integer, %s::bigint, %s::text);
