-- Every change of a job's state, said once: what follows for the queue, for who waits, for the counts.

-- After a failure a job is kept for so long at least.
local FAILED_TTL = 30 * 86400 * 1000000
-- What a job was cancelled for, as it is kept; a reason and an error.
local REVOKED, EXPIRED = 'revoked', 'expired'
local STEP_BEFORE = 'a step before it did not succeed'
-- So many of the latest events are kept, each by the name of its job.
local EVENTS = 10000

local ended, notices, tally = {}, {}, {}
local has_freed, has_changed = false, false

local function note(kind, row, reason)
  notices[#notices + 1] = cjson.encode({ kind, id_of(row), reason or cjson.null })
end

local function count(row, state, by)
  local name = state .. ' ' .. string.match(row[PLACE], ' (.*)')
  tally[name] = (tally[name] or 0) + by
end

-- --- in the queue

-- A lane holds what shares an executor, a priority and a queue, by run_at and then by order of adding.
local function lane_of(row)
  local executor, queue = string.match(row[PLACE], '^(%a+) (.*)$')
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
  else
    call('ZREM', BASE .. 'lane:' .. lane_of(row), row[REF])
  end
end

local function park(row, lock)
  call('ZREM', BASE .. 'lane:' .. lane_of(row), row[REF])
  call('ZADD', BASE .. 'parked:' .. lock, 0, place_of(row))
  call('SADD', BASE .. 'awaited', lock)
  row[PARKED] = 1
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

-- --- from state to state

local function outlived_at(row)
  local ttl = row[RESULT_TTL]
  return row[ENDED_AT] + (row[STATE] == FAILED and math.max(ttl, FAILED_TTL) or ttl)
end

local function ended_key(row)
  return 'ended:' .. string.match(row[PLACE], ' (.*)')
end

local function move(row, state)
  local before = row[STATE]
  if before == QUEUED then
    leave(row)
  elseif before == RUNNING then
    call('SREM', BASE .. 'held:' .. string.format('%d', row[SESSION]), row[REF])
    if row[CANCELLING] == 1 then
      call('SREM', BASE .. 'cancelling', row[REF])
    end
  elseif before ~= BLOCKED then
    call('ZREM', BASE .. ended_key(row), row[REF])
  end
  row[STATE], row[PARKED] = state, 0
  if state == QUEUED then
    enter(row)
  elseif state >= SUCCEEDED then
    call('ZADD', BASE .. ended_key(row), string.format('%d', outlived_at(row)), row[REF])
  end
  if before == BLOCKED or before >= FAILED then
    call('ZREM', BASE .. 'state:' .. before, row[REF])
  end
  if state == BLOCKED or state >= FAILED then
    call('ZADD', BASE .. 'state:' .. state, row[REF], row[REF])
  end
  if row[EXPIRES_AT] ~= 0 then
    if state <= QUEUED then
      call('ZADD', BASE .. 'expiring', string.format('%d', row[EXPIRES_AT]), row[REF])
    else
      call('ZREM', BASE .. 'expiring', row[REF])
    end
  end
  count(row, before, -1)
  count(row, state, 1)
  touch(row)
  later('LPUSH', 'recent', row[REF])
  has_changed = true
end

local function queue(row)
  move(row, QUEUED)
  has_freed = true
end

-- *outcome*: the result, or the reason with the error, as text.
local function end_as(row, job_id, state, outcome)
  row[ENDED_AT] = NOW
  move(row, state)
  if outcome then
    call('HSET', BASE .. 'outcome', row[REF], outcome)
  end
  ended[#ended + 1] = job_id
end

local function forget_outcome(row)
  call('HDEL', BASE .. 'outcome', row[REF])
end

local function delete(row)
  local known = call_of(row)
  if row[STATE] == QUEUED then
    leave(row)
  elseif is_final(row) then
    call('ZREM', BASE .. ended_key(row), row[REF])
  end
  if row[STATE] == BLOCKED or row[STATE] >= FAILED then
    call('ZREM', BASE .. 'state:' .. row[STATE], row[REF])
  end
  if row[EXPIRES_AT] ~= 0 then
    call('ZREM', BASE .. 'expiring', row[REF])
  end
  if row[KEYED] == 1 then
    call('HDEL', BASE .. 'keys', known[TASK] .. '\0' .. known[KEY])
  end
  if row[PIPED] == 1 then
    call('ZREM', BASE .. 'steps:' .. known[PIPELINE], row[REF])
  end
  for _, name in ipairs({ 'row', 'call', 'outcome', 'history' }) do
    call('HDEL', BASE .. name, row[REF])
  end
  call('ZREM', BASE .. 'ids', known[JOB_ID])
  count(row, row[STATE], -1)
  rows[row[REF]] = false
  row.is_gone, has_changed = true, true
end

-- --- pipelines

local function steps(row, first, last)
  if row[PIPED] == 0 then
    return {}
  end
  local refs = call('ZRANGEBYSCORE', BASE .. 'steps:' .. call_of(row)[PIPELINE], first, last)
  local found = {}
  fetch(refs)
  for i, ref in ipairs(refs) do
    found[i] = row_of(ref)
  end
  return found
end

local function step_before(row)
  return steps(row, row[STEP] - 1, row[STEP] - 1)[1]
end

local function step_after(row)
  return steps(row, row[STEP] + 1, row[STEP] + 1)[1]
end

local function later_steps(row)
  return steps(row, row[STEP] + 1, '+inf')
end

-- Whether a later step has not ended, so that the result must stay.
local function is_needed(row)
  for _, step in ipairs(later_steps(row)) do
    if not is_final(step) then
      return true
    end
  end
  return false
end

-- --- cancelling

local function cancel_one(row, reason)
  end_as(row, id_of(row), CANCELLED, cjson.encode({ reason, cjson.null }))
  note('cancelled', row, reason)
end

local function cancel_later(row)
  for _, step in ipairs(later_steps(row)) do
    if step[STATE] == BLOCKED then
      cancel_one(step, STEP_BEFORE)
    end
  end
end

local function cancel(row, reason)
  cancel_one(row, reason)
  cancel_later(row)
end

-- After a waiting job is gone: it may have been the one that was let through to its lock.
local function let_next_through(row)
  if row[LOCKED] == 1 then
    let_through(call_of(row)[LOCK])
  end
end

-- --- the end of every operation

-- Rings one process that rests and has room for any job or, where there is none, all that have some.
local function ring()
  local bell = call('SPOP', BASE .. 'resting:all')
  while bell do
    if call('PUBLISH', bell, 'jobs') > 0 then
      return
    end
    bell = call('SPOP', BASE .. 'resting:all')
  end
  for _, each in ipairs(call('SMEMBERS', BASE .. 'resting:some')) do
    call('PUBLISH', each, 'jobs')
  end
  call('DEL', BASE .. 'resting:some')
end

-- What every operation that changes something answers, and whom it wakes; *answer* is JSON.
local function finish(answer)
  flush()
  for name, by in pairs(tally) do
    if by ~= 0 and call('HINCRBY', BASE .. 'counts', name, by) == 0 then
      call('HDEL', BASE .. 'counts', name)
    end
  end
  if has_changed then
    call('INCR', BASE .. 'version')
    call('LTRIM', BASE .. 'recent', 0, EVENTS - 1)
  end
  local gone = listed(ended)
  if #ended > 0 then
    call('PUBLISH', BASE .. 'ended', gone)
  end
  if has_freed then
    ring()
  end
  return joined({ answer, joined(notices), gone, tostring(has_freed) })
end
