-- name: open
insert into taskmill_session (kind, host, pid, process, boot, lease, file, started_at)
values (:kind, :host, :pid, :process, :boot, :lease, :file, :started_at);

-- name: known
select id, process, boot, lease, file from taskmill_session;

-- name: one
select id, process, boot, lease, file from taskmill_session where id = :session;

-- name: end
delete from taskmill_session where id = :session;
