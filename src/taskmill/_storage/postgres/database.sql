-- name: clock
select taskmill.clock(null);
