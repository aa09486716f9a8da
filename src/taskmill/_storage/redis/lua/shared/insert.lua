-- How jobs come into the store. It is on the way of every enqueue, where each function made and each command counts.

-- Arguments of a job that comes in: its id; its shape, which many have in common; its key, which begins with the task's
-- name, and its pipeline, which begins with ':', or ''; its call as text.
local ITS_ID, ITS_SHAPE, ITS_KEY, ITS_PIPELINE, ITS_CALL, COLUMNS = 0, 1, 2, 3, 4, 5

-- Delay, run_at and expiry, then lane ('' of one that is blocked), and the columns before and behind the instants.
local SHAPE = '>lllI2c0I2c0I2c0'
-- For which Lua's numbers have an exact value.
local NONE = -2 ^ 63

-- What all jobs of a shape have in common that come in at one moment: the row, packed, and where it is to be found.
local function formed(shape)
  local delay, run_at, expiry, lane, head, tail = struct.unpack(SHAPE, shape)
  run_at = run_at == NONE and NOW + delay or run_at
  local expires_at = expiry == NONE and 0 or NOW + expiry
  return {
    row = head .. struct.pack('>llllll', NOW, run_at, 0, 0, 0, expires_at) .. tail,
    expires_at = expires_at ~= 0 and string.format('%d', expires_at),
    run_at = string.format('%d', run_at),
    lane = lane ~= '' and lane,
    members = {},
  }
end

local function column_of(row, column)
  return ({ struct.unpack(FORMAT, row) })[column]
end

-- Store the jobs whose arguments begin with that one, all or none: how many were new, and the ids that others of them are
-- known by, by their place, and the version of the store, which grows by as many as are new and gives them their names.
local function add(first_argument)
  local count = (#ARGV - first_argument + 1) / COLUMNS
  local last = call('INCRBY', BASE .. 'version', count) - count
  local fresh, known, stored, calls, shapes = 0, {}, {}, {}, {}
  for i = 1, count do
    local at = first_argument + (i - 1) * COLUMNS
    local id, key, pipeline = ARGV[at + ITS_ID], ARGV[at + ITS_KEY], ARGV[at + ITS_PIPELINE]
    local ref = ref_of(last + fresh + 1)
    local holder = key ~= '' and call('HGET', BASE .. 'keys', key)
    if holder then
      -- Known by its own id, it is known by that, whoever has its key.
      known[i] = not call('ZSCORE', BASE .. 'ids', id) and holder or nil
    elseif call('ZADD', BASE .. 'ids', 'NX', ref, id) == 1 then
      local shape = shapes[ARGV[at + ITS_SHAPE]]
      if not shape then
        shape = formed(ARGV[at + ITS_SHAPE])
        shapes[ARGV[at + ITS_SHAPE]] = shape
      end
      local members, n = shape.members, 2 * fresh
      fresh = fresh + 1
      stored[n + 1], stored[n + 2] = ref, shape.row
      calls[n + 1], calls[n + 2] = ref, ARGV[at + ITS_CALL]
      if key ~= '' then
        call('HSET', BASE .. 'keys', key, id)
      end
      if pipeline ~= '' then
        call('ZADD', BASE .. 'steps:' .. string.sub(pipeline, 2), column_of(shape.row, STEP), ref)
      end
      if shape.expires_at then
        call('ZADD', BASE .. 'expiring', shape.expires_at, ref)
      end
      n = #members
      members[n + 1], members[n + 2] = shape.lane and shape.run_at or ref, ref
    end
  end
  for first = 1, #stored, MOST do
    local till = math.min(first + MOST - 1, #stored)
    call('HSET', BASE .. 'row', unpack(stored, first, till))
    call('HSET', BASE .. 'call', unpack(calls, first, till))
  end
  for _, shape in pairs(shapes) do
    local members, index = shape.members, 'state:' .. BLOCKED
    if shape.lane then
      call('SADD', BASE .. 'lanes', shape.lane)
      index = 'lane:' .. shape.lane
    else
      local queue = string.match(column_of(shape.row, PLACE), ' (.*)')
      call('HINCRBY', BASE .. 'counts', BLOCKED .. ' ' .. queue, #members / 2)
    end
    for first = 1, #members, MOST do
      call('ZADD', BASE .. index, unpack(members, first, math.min(first + MOST - 1, #members)))
    end
  end
  if fresh < count then
    call('INCRBY', BASE .. 'version', fresh - count)
  end
  return fresh, known, last + fresh
end
