-- What waits: in lanes to be claimed, or parked until a lock is free.

-- A lane holds what shares an executor, a priority and a queue, by run_at and then by order of adding.
local function lane_of(row)
  local executor, queue = executor_of(row), queue_of(row)
  if row[SUSPECT] == 1 then
    return 'alone ' .. row[PRIORITY] .. ' ' .. queue
  elseif row[HANDED_ON] == 1 then
    return 'elsewhere ' .. row[PRIORITY] .. ' ' .. queue .. '\0' .. call_of(row)[TASK]
  end
  return executor .. ' ' .. row[PRIORITY] .. ' ' .. queue
end

-- Where it stands among those that wait for a lock: these names are in the order of claiming.
local function place_of(row)
  return string.format('%03d %018.0f ', 100 - row[PRIORITY], math.max(0, row[RUN_AT])) .. row[REF]
end

local function enter(row)
  local lane = lane_of(row)
  call('SADD', BASE .. 'lanes', lane)
  call('ZADD', BASE .. 'lane:' .. lane, string.format('%d', row[RUN_AT]), row[REF])
end

local function leave(row)
  if row[PARKED] == 1 then
    local lock = call_of(row)[LOCK]
    call('ZREM', BASE .. 'parked:' .. lock, place_of(row))
    if call('EXISTS', BASE .. 'parked:' .. lock) == 0 then
      call('SREM', BASE .. 'awaited', lock)
    end
    count(row, QUEUED, -1)
  else
    call('ZREM', BASE .. 'lane:' .. lane_of(row), row[REF])
  end
end

local function park(row, lock)
  call('ZREM', BASE .. 'lane:' .. lane_of(row), row[REF])
  call('ZADD', BASE .. 'parked:' .. lock, 0, place_of(row))
  call('SADD', BASE .. 'awaited', lock)
  row[PARKED] = 1
  count(row, QUEUED, 1)
  touch(row)
  has_changed = true
end

-- Let the first waiter be claimed again, if the lock is free.
local function let_through(lock)
  if call('HEXISTS', BASE .. 'locks', lock) == 1 then
    return
  end
  local first = call('ZRANGE', BASE .. 'parked:' .. lock, 0, 0)[1]
  if first then
    local row = row_of(string.match(first, '%d+$'))
    leave(row)
    row[PARKED] = 0
    touch(row)
    enter(row)
    has_freed, has_changed = true, true
  end
end
