-- How jobs come into the store. It is on the way of every enqueue, where each function made and each command counts.

-- Arguments of a job that comes in: its id; its shape, which many have in common, or '' where it is that of the one before;
-- its key, which begins with the task's name, and its pipeline, which begins with ':', or ''; its call as text.
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
    name = shape,
    row = head .. struct.pack('>llllll', NOW, run_at, 0, 0, 0, expires_at) .. tail,
    expires_at = expires_at ~= 0 and string.format('%d', expires_at),
    run_at = string.format('%d', run_at),
    lane = lane ~= '' and lane,
    members = {},
    count = 0,
  }
end

local function column_of(row, column)
  return ({ struct.unpack(FORMAT, row) })[column]
end

-- Calls *use* with the list, in parts of pairs.
local function in_pairs(list, use)
  for first = 1, #list, MOST do
    use(unpack(list, first, math.min(first + MOST - 1, #list)))
  end
end

-- Give the jobs their names, but for those whose ids or keys are known: which are new, by place, and what others of them
-- are known by.
local function name_all(first_argument, refs)
  local ids, fresh, known, unkeyed = BASE .. 'ids', {}, {}, {}
  local n, added = 0, 0
  for i, ref in ipairs(refs) do
    local at = first_argument + (i - 1) * COLUMNS
    local id, key = ARGV[at + ITS_ID], ARGV[at + ITS_KEY]
    local holder = key ~= '' and call('HGET', BASE .. 'keys', key)
    if holder then
      -- Known by its own id, it is known by that, whoever has its key.
      known[i] = not call('ZSCORE', ids, id) and holder or nil
    elseif key == '' then
      unkeyed[n + 1], unkeyed[n + 2] = ref, id
      n, fresh[i] = n + 2, true
    elseif call('ZADD', ids, 'NX', ref, id) == 1 then
      call('HSET', BASE .. 'keys', key, id)
      fresh[i] = true
    end
  end
  in_pairs(unkeyed, function(...)
    added = added + call('ZADD', ids, 'NX', ...)
  end)
  if 2 * added < n then
    for i, ref in ipairs(refs) do
      local named = call('ZSCORE', ids, ARGV[first_argument + (i - 1) * COLUMNS + ITS_ID])
      fresh[i] = fresh[i] and tonumber(named) == tonumber(ref)
    end
  end
  return fresh, known
end

-- Store the jobs whose arguments begin with that one, all or none: how many were new, and the ids that others of them are
-- known by, by their place, and the version of the store, whose growth gives them their names.
local function add(first_argument)
  local count = (#ARGV - first_argument + 1) / COLUMNS
  local version = call('INCRBY', BASE .. 'version', count)
  local refs, stored, calls, shapes, shape, n = {}, {}, {}, {}, nil, 0
  for i = 1, count do
    refs[i] = ref_of(version - count + i)
  end
  local fresh, known = name_all(first_argument, refs)
  for i, ref in ipairs(refs) do
    local at = first_argument + (i - 1) * COLUMNS
    local its_shape, pipeline = ARGV[at + ITS_SHAPE], ARGV[at + ITS_PIPELINE]
    if its_shape ~= '' then
      shape = shapes[its_shape] or formed(its_shape)
    end
    if fresh[i] then
      shapes[shape.name] = shape
      stored[n + 1], stored[n + 2] = ref, shape.row
      calls[n + 1], calls[n + 2] = ref, ARGV[at + ITS_CALL]
      n = n + 2
      if pipeline ~= '' then
        call('ZADD', BASE .. 'steps:' .. string.sub(pipeline, 2), column_of(shape.row, STEP), ref)
      end
      if shape.expires_at then
        call('ZADD', BASE .. 'expiring', shape.expires_at, ref)
      end
      local members, m = shape.members, shape.count
      members[m + 1], members[m + 2] = shape.lane and shape.run_at or ref, ref
      shape.count = m + 2
    end
  end
  if n == 0 then
    return 0, known, call('INCRBY', BASE .. 'version', -count)
  end
  in_pairs(stored, function(...)
    call('HSET', BASE .. 'row', ...)
  end)
  in_pairs(calls, function(...)
    call('HSET', BASE .. 'call', ...)
  end)
  for _, each in pairs(shapes) do
    local index = 'state:' .. BLOCKED
    if each.lane then
      call('SADD', BASE .. 'lanes', each.lane)
      index = 'lane:' .. each.lane
    else
      local queue = string.match(column_of(each.row, PLACE), ' (.*)')
      call('HINCRBY', BASE .. 'counts', BLOCKED .. ' ' .. queue, each.count / 2)
    end
    in_pairs(each.members, function(...)
      call('ZADD', BASE .. index, ...)
    end)
  end
  return n / 2, known, version
end
