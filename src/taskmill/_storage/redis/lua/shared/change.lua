-- Every change of a job's state, said once: what follows for its place in the indexes.

-- After a failure a job is kept for so long at least.
local FAILED_TTL = 30 * 86400 * 1000000

local function outlived_at(row)
  local ttl = row[RESULT_TTL]
  return row[ENDED_AT] + (row[STATE] == FAILED and math.max(ttl, FAILED_TTL) or ttl)
end

-- So many of the latest events are kept, each by the name of its job.
local EVENTS = 10000

local function ended_key(row)
  return 'ended:' .. queue_of(row)
end

local function happened(ref)
  local events = later('LPUSH', 'recent')
  events[#events + 1] = ref
end

-- Now and then is enough.
local function forget_events()
  if NOW % 100 == 0 then
    call('LTRIM', BASE .. 'recent', 0, EVENTS - 1)
  end
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
  -- Those in line are counted by their lanes.
  if before ~= QUEUED then
    count(row, before, -1)
  end
  if state ~= QUEUED then
    count(row, state, 1)
  end
  touch(row)
  happened(row[REF])
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
  call('UNLINK', BASE .. 'journal:' .. row[REF])
  call('ZREM', BASE .. 'ids', known[JOB_ID])
  if row[STATE] ~= QUEUED then
    count(row, row[STATE], -1)
  end
  rows[row[REF]] = false
  row.is_gone, has_changed = true, true
end
