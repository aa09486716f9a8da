-- suspects: whether one can be claimed.
-- needs: clock columns row pause
-- flags: no-writes

local queues, asked, paused = cjson.decode(ARGV[2]), {}, paused_queues()
if queues ~= cjson.null then
  for _, name in ipairs(queues) do
    asked[name] = true
  end
end
for _, name in ipairs(call('SMEMBERS', BASE .. 'lanes')) do
  local queue = string.match(name, '^alone %-?%d+ (.*)$')
  if queue and (queues == cjson.null or asked[queue]) and not paused[queue] then
    local due = call('ZRANGEBYSCORE', BASE .. 'lane:' .. name, '-inf', string.format('%d', NOW))
    for _, ref in ipairs(due) do
      local expires_at = row_of(ref)[EXPIRES_AT]
      if expires_at == 0 or expires_at > NOW then
        return 1
      end
    end
  end
end
return 0
