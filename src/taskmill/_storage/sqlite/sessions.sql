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
select exists (select 1 from taskmill_session where id = :session and is_asked_to_stop)
    or exists (select 1 from taskmill_wish where session = :session);

-- name: keep_wish
insert into taskmill_wish (session) select id from taskmill_session where id = :session and is_asked_to_stop;

-- name: forget_wishes
delete from taskmill_wish where session <= :session - :kept;

-- name: end
delete from taskmill_session where id = :session;
