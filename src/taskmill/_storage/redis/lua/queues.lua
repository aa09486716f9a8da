-- queues: the counts by state and queue, but for those in line; and by queue how many are in line, and how many of them due.
-- needs: clock columns row
-- flags: no-writes

local now, lined, due = string.format('%d', NOW), {}, {}
for _, name in ipairs(call('SMEMBERS', BASE .. 'lanes')) do
  local queue = string.match(string.match(name, '^%a+ %-?%d+ (.*)$'), '^%Z*')
  lined[queue] = (lined[queue] or 0) + call('ZCARD', BASE .. 'lane:' .. name)
  due[queue] = (due[queue] or 0) + call('ZCOUNT', BASE .. 'lane:' .. name, '-inf', now)
end
-- Those that are due no more: the next turn ends them.
for _, ref in ipairs(call('ZRANGEBYSCORE', BASE .. 'expiring', '-inf', now)) do
  local row = row_of(ref)
  if row[STATE] == QUEUED and row[PARKED] == 0 and row[RUN_AT] <= NOW then
    due[queue_of(row)] = due[queue_of(row)] - 1
  end
end
local told = {}
for queue, count in pairs(lined) do
  told[#told + 1] = { queue, count, due[queue] }
end
return { call('HGETALL', BASE .. 'counts'), listed(told) }
