-- name: open
select taskmill.open_session(
    %(kind)s, %(parent)s, %(host)s, %(pid)s, %(process)s, %(boot)s, %(slots)s, %(lease)s, %(serves)s, %(wall)s,
    %(monotonic)s
);

-- name: renew
select taskmill.renew(%s, %s, %s);

-- name: ask_to_stop
select taskmill.ask_to_stop(%s);

-- name: is_asked_to_stop
select exists (select 1 from taskmill.session where id = %(session)s and is_asked_to_stop)
    or exists (select 1 from taskmill.wish where session = %(session)s);

-- name: end
select to_json(taskmill.end_session(%s, %s));

-- name: look
select json_build_array(
    array(select json_build_array(id, parent, process, boot, slots, is_silent) from taskmill.known_sessions($1)),
    exists (select 1 from taskmill.awaited_locks())
);

-- name: rescue
select rescued, to_json(news) from taskmill.rescue(%(candidates)s, %(gone)s, %(wall)s, %(monotonic)s);
