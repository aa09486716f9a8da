-- name: say
insert into taskmill.listener (id, room, waits) values (%s, %s, %s)
on conflict (id) do update set room = excluded.room, waits = excluded.waits
returning id;

-- name: leave
delete from taskmill.listener where id = %s returning id;

-- name: echo
select pg_notify('taskmill', %s);
