-- How jobs come into the store. It is on the way of every enqueue, where each function made and each command counts.

-- Arguments of a job that comes in. '' where it has no key, pipeline, run_at or expiry; key and pipeline begin with the
-- task's name and with ':'. `ITS_CALL` is the call as text.
local ITS_ID, ITS_PLACE, ITS_LANE, ITS_KEY, ITS_PIPELINE, ITS_STEP, ITS_PRIORITY = 0, 1, 2, 3, 4, 5, 6
local ITS_DELAY, ITS_RUN_AT, ITS_EXPIRY, ITS_ATTEMPTS, ITS_TTL, IS_LOCKED, ITS_CALL = 7, 8, 9, 10, 11, 12, 13
local COLUMNS = 14

-- Store the jobs whose arguments begin with that one, all or none: how many were new, and the ids that others of them are
-- known by, by their place. The version of the store grows by as many as are new, and gives the names.
local function add(first_argument)
  local count = (#ARGV - first_argument + 1) / COLUMNS
  local last = call('INCRBY', BASE .. 'version', count) - count
  local fresh, known, stored, calls, lanes = 0, {}, {}, {}, {}
  for i = 1, count do
    local at = first_argument + (i - 1) * COLUMNS
    local id, key = ARGV[at + ITS_ID], ARGV[at + ITS_KEY]
    local ref = ref_of(last + fresh + 1)
    local holder = key ~= '' and call('HGET', BASE .. 'keys', key)
    if holder then
      -- Known by its own id, it is known by that, whoever has its key.
      known[i] = not call('ZSCORE', BASE .. 'ids', id) and holder or nil
    elseif call('ZADD', BASE .. 'ids', 'NX', ref, id) == 1 then
      fresh = fresh + 1
      local step, expiry, pipeline = tonumber(ARGV[at + ITS_STEP]), ARGV[at + ITS_EXPIRY], ARGV[at + ITS_PIPELINE]
      local run_at, expires_at = tonumber(ARGV[at + ITS_RUN_AT]), 0
      run_at = run_at or NOW + ARGV[at + ITS_DELAY]
      if expiry ~= '' then
        expires_at = NOW + expiry
        call('ZADD', BASE .. 'expiring', string.format('%d', expires_at), ref)
      end
      if key ~= '' then
        call('HSET', BASE .. 'keys', key, id)
      end
      if pipeline ~= '' then
        call('ZADD', BASE .. 'steps:' .. string.sub(pipeline, 2), step, ref)
      end
      if step == 0 then
        local lane = lanes[ARGV[at + ITS_LANE]] or {}
        lanes[ARGV[at + ITS_LANE]] = lane
        lane[#lane + 1] = string.format('%d', run_at)
        lane[#lane + 1] = ref
      else
        call('ZADD', BASE .. 'state:' .. BLOCKED, ref, ref)
        call('HINCRBY', BASE .. 'counts', BLOCKED .. ' ' .. string.match(ARGV[at + ITS_PLACE], ' (.*)'), 1)
      end
      local j = 2 * fresh
      calls[j - 1], calls[j] = ref, ARGV[at + ITS_CALL]
      stored[j - 1] = ref
      stored[j] = struct.pack(
        FORMAT,
        step == 0 and QUEUED or BLOCKED, 0, 0, 0, 0,
        ARGV[at + IS_LOCKED], pipeline == '' and 0 or 1, key == '' and 0 or 1,
        ARGV[at + ITS_PRIORITY], 0, ARGV[at + ITS_ATTEMPTS], 0, 0, 0, step, 0, 0,
        NOW, run_at, 0, 0, 0, expires_at,
        ARGV[at + ITS_DELAY], ARGV[at + ITS_TTL], ARGV[at + ITS_PLACE]
      )
    end
  end
  for first = 1, #stored, MOST do
    local till = math.min(first + MOST - 1, #stored)
    call('HSET', BASE .. 'row', unpack(stored, first, till))
    call('HSET', BASE .. 'call', unpack(calls, first, till))
  end
  for lane, members in pairs(lanes) do
    call('SADD', BASE .. 'lanes', lane)
    for first = 1, #members, MOST do
      call('ZADD', BASE .. 'lane:' .. lane, unpack(members, first, math.min(first + MOST - 1, #members)))
    end
  end
  if fresh < count then
    call('INCRBY', BASE .. 'version', fresh - count)
  end
  return fresh, known
end
