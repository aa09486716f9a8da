-- count: add to what workers have counted, and forget what is too old.
-- needs: clock columns row say ring news
-- flags: allow-oom

-- By the minute, under the names of what was counted.
for minute, numbers in pairs(cjson.decode(ARGV[2])) do
  call('ZADD', BASE .. 'minutes', minute, minute)
  for name, number in pairs(numbers) do
    call('HINCRBY', BASE .. 'minute:' .. minute, name, number)
  end
end
for _, minute in ipairs(call('ZRANGEBYSCORE', BASE .. 'minutes', '-inf', '(' .. ARGV[3])) do
  call('DEL', BASE .. 'minute:' .. minute)
  call('ZREM', BASE .. 'minutes', minute)
end
has_changed = true
return finish('null')
