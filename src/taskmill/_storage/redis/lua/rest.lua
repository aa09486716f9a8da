-- rest: a process has room for some jobs, or for any, and nothing to do; it is rung by its channel.
-- needs: clock
-- flags: allow-oom

local bell, room = ARGV[2], ARGV[3]
call('SREM', BASE .. 'resting:' .. (room == 'all' and 'some' or 'all'), bell)
call('SADD', BASE .. 'resting:' .. room, bell)
return 1
