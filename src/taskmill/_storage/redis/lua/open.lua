-- open: begin a session.
-- needs: clock columns row say ring news session
-- flags: allow-oom

local session = string.format('%d', call('INCR', BASE .. 'session-ids'))
local row = cjson.decode(ARGV[2])
-- As text, which cjson would round otherwise.
row[STARTED] = string.format('%d', NOW)
call('HSET', BASE .. 'sessions', session, cjson.encode(row))
call('HSET', BASE .. 'on:' .. row[BOOT], session, row[PROCESS])
renew(session)
has_changed = true
return finish(session)
