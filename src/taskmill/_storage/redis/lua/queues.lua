-- queues: how many jobs each queue holds by state, and how many of them are due.
-- needs: row
-- flags: no-writes

local now, due = string.format('%d', NOW), {}
for _, name in ipairs(call('SMEMBERS', BASE .. 'lanes')) do
  local queue = string.match(string.match(name, '^%a+ %-?%d+ (.*)$'), '^%Z*')
  due[queue] = (due[queue] or 0) + call('ZCOUNT', BASE .. 'lane:' .. name, '-inf', now)
end
-- Those that are due no more: the next turn ends them.
for _, ref in ipairs(call('ZRANGEBYSCORE', BASE .. 'expiring', '-inf', now)) do
  local row = row_of(ref)
  if row[STATE] == QUEUED and row[PARKED] == 0 and row[RUN_AT] <= NOW then
    local queue = queue_of(row)
    due[queue] = due[queue] - 1
  end
end
return { call('HGETALL', BASE .. 'counts'), next(due) and cjson.encode(due) or '{}' }
