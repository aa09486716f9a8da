-- sessions: each with when its lease ends, how many jobs it holds and how many locks beside those of jobs, and whether it
-- was asked to stop.
-- needs: clock columns row
-- flags: no-writes

local locks, told = {}, { string.format('%d', STEADY) }
for _, text in ipairs(call('HVALS', BASE .. 'locks')) do
  local lock = cjson.decode(text)
  if lock[4] == '' then
    local holder = string.format('%d', lock[2])
    locks[holder] = (locks[holder] or 0) + 1
  end
end
for _, session in ipairs(call('HKEYS', BASE .. 'sessions')) do
  told[#told + 1] = session
  told[#told + 1] = call('HGET', BASE .. 'sessions', session)
  told[#told + 1] = call('ZSCORE', BASE .. 'leases', session)
  told[#told + 1] = call('SCARD', BASE .. 'held:' .. session)
  told[#told + 1] = locks[session] or 0
  told[#told + 1] = call('SISMEMBER', BASE .. 'asked-to-stop', session)
end
return told
