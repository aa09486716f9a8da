-- note: append a deed to the audit, and forget the oldest.
-- needs: clock columns row say ring news

local deed, order = BASE .. 'deed', BASE .. 'deeds'
if call('HSETNX', deed, ARGV[2], string.format('%d ', NOW) .. ARGV[3]) == 1 then
  local newest = call('ZREVRANGE', order, 0, 0, 'WITHSCORES')[2] or 0
  call('ZADD', order, newest + 1, ARGV[2])
  for _, id in ipairs(call('ZRANGE', order, 0, -ARGV[4] - 1)) do
    call('ZREM', order, id)
    call('HDEL', deed, id)
  end
  has_changed = true
end
return finish('null')
