-- What makes a copy a store at rest.

-- name: sessions
select id from taskmill_session;

-- name: leap_fences
update taskmill_job set fence = fence + :leap where ended_at is null;

-- name: begin_tokens
insert into sqlite_sequence (name, seq)
select 'taskmill_lock', 0 where not exists (select 1 from sqlite_sequence where name = 'taskmill_lock');

-- name: leap_tokens
update sqlite_sequence set seq = seq + :leap where name = 'taskmill_lock';

-- name: count
select count(*) from taskmill_job;
