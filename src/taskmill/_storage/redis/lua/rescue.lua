-- rescue: take back what dead sessions hold, and let the first waiter of every free lock through.
-- needs: clock columns row say ring news line change pipeline lock settle session
-- flags: allow-oom

watch_leases()
local boot, gone = ARGV[2], {}
for _, session in ipairs(cjson.decode(ARGV[3])) do
  gone[session] = true
end

-- A process that its own parent watches: how it ended, that one says.
local function is_watched(session)
  local known = session_of(session)
  local parent = known and known[PARENT] ~= cjson.null and string.format('%d', known[PARENT])
  return parent and not gone[parent] and not is_dead(parent)
end

local dead = call('ZRANGEBYSCORE', BASE .. 'leases', '-inf', '(' .. string.format('%d', STEADY))
for session in pairs(gone) do
  if not is_watched(session) then
    dead[#dead + 1] = session
  end
end
for _, session in ipairs(dead) do
  take_back(session, 'rescued')
  keep_wish(session)
  forget(session)
end
for _, lock in ipairs(call('SMEMBERS', BASE .. 'awaited')) do
  let_through(lock)
end
-- Those of this host, to be looked for there.
local here = {}
for _, session in ipairs(call('HKEYS', BASE .. 'on:' .. boot)) do
  here[#here + 1] = cjson.encode({ session, call('HGET', BASE .. 'on:' .. boot, session) })
end
return finish(joined(here))
