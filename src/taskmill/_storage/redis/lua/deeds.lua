-- deeds: a page of the audit, newest first: the place of each, and what it says.
-- needs: clock
-- flags: no-writes

local told = {}
local found = call('ZREVRANGEBYSCORE', BASE .. 'deeds', ARGV[2], '-inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for i = 1, #found, 2 do
  told[i] = found[i + 1]
  told[i + 1] = call('HGET', BASE .. 'deed', found[i])
end
return told
