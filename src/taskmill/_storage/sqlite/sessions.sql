-- name: open
insert into taskmill_session (kind, parent, host, pid, process, boot, lease, file, started_at, serves)
values (:kind, :parent, :host, :pid, :process, :boot, :lease, :file, :started_at, :serves);

-- name: known
select id, parent, process, boot, lease, file from taskmill_session;

-- name: one
select id, parent, process, boot, lease, file from taskmill_session where id = :session;

-- name: ask_to_stop
update taskmill_session set is_asked_to_stop = 1 where id = :session and not is_asked_to_stop;

-- name: is_asked_to_stop
select is_asked_to_stop from taskmill_session where id = :session;

-- name: end
delete from taskmill_session where id = :session;
