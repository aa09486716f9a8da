-- What every operation begins with: the name that keys begin with, and the clock.

local BASE, call = KEYS[1], redis.call

-- The store's own clock, unless the client was given one: the instant, and what leases are counted by.
local NOW, STEADY
if ARGV[1] == '' then
  local time = call('TIME')
  NOW = time[1] * 1000000 + time[2]
  STEADY = NOW
else
  NOW, STEADY = string.match(ARGV[1], '(%-?%d+) (%-?%d+)')
  NOW, STEADY = tonumber(NOW), tonumber(STEADY)
end
