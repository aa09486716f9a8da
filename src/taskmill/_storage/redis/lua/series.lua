-- series: what was counted from a minute on: each minute, and what it holds.
-- needs: clock
-- flags: no-writes

local told = {}
for _, minute in ipairs(call('ZRANGEBYSCORE', BASE .. 'minutes', ARGV[2], '+inf')) do
  told[#told + 1] = minute
  told[#told + 1] = call('HGETALL', BASE .. 'minute:' .. minute)
end
return told
