-- How jobs come into the store: all or none.

-- Columns of a job that comes in; what follows is its call as text.
local ITS_ID, ITS_PLACE, ITS_PRIORITY, ITS_TASK, ITS_KEY, ITS_PIPELINE, ITS_STEP = 1, 2, 3, 4, 5, 6, 7
local ITS_DELAY, ITS_RUN_AT, ITS_EXPIRY, ITS_ATTEMPTS, ITS_TTL, IS_LOCKED, ITS_CALL = 8, 9, 10, 11, 12, 13, 14

local function key_of(job)
  return job[ITS_KEY] ~= cjson.null and job[ITS_TASK] .. '\0' .. job[ITS_KEY]
end

-- By what id each is known that is stored already, or comes twice; and those that are neither.
local function sort_out(jobs)
  local ids, fresh, known, numbers = {}, {}, {}, {}
  for i, job in ipairs(jobs) do
    ids[i] = job[ITS_ID]
  end
  in_parts(ids, function(...)
    for _, number in ipairs(call('ZMSCORE', BASE .. 'ids', ...)) do
      numbers[#numbers + 1] = number
    end
  end)
  for i, job in ipairs(jobs) do
    local key = key_of(job)
    local ref = not numbers[i] and key and call('HGET', BASE .. 'keys', key)
    if ref then
      ids[i] = id_of(row_of(ref_of(ref)))
    elseif key and known[key] then
      ids[i] = known[key]
    elseif not numbers[i] and not known[job[ITS_ID]] then
      fresh[#fresh + 1] = job
      known[job[ITS_ID]] = true
      if key then
        known[key] = job[ITS_ID]
      end
    end
  end
  return ids, fresh
end

local function new_row(job, ref)
  local run_at = job[ITS_RUN_AT] == cjson.null and NOW + job[ITS_DELAY] or job[ITS_RUN_AT]
  local expires_at = job[ITS_EXPIRY] == cjson.null and 0 or NOW + job[ITS_EXPIRY]
  return {
    job[ITS_STEP] == 0 and QUEUED or BLOCKED, 0, 0, 0, 0,
    job[IS_LOCKED], job[ITS_PIPELINE] == cjson.null and 0 or 1, job[ITS_KEY] == cjson.null and 0 or 1,
    job[ITS_PRIORITY], 0, job[ITS_ATTEMPTS], 0, 0, 0, job[ITS_STEP],
    0, 0,
    NOW, run_at, 0, 0, 0, expires_at,
    job[ITS_DELAY], job[ITS_TTL],
    job[ITS_PLACE],
    ref,
  }
end

local function push(command, name, score, member)
  local list = later(command, name)
  local n = #list
  list[n + 1], list[n + 2] = score, member
end

local function insert(job, ref)
  local row = new_row(job, ref)
  touch(row)
  push('HSET', 'call', ref, job[ITS_CALL])
  push('ZADD', 'ids', ref, job[ITS_ID])
  if row[KEYED] == 1 then
    call('HSET', BASE .. 'keys', key_of(job), ref)
  end
  if row[PIPED] == 1 then
    call('ZADD', BASE .. 'steps:' .. job[ITS_PIPELINE], row[STEP], ref)
  end
  if row[EXPIRES_AT] ~= 0 then
    push('ZADD', 'expiring', string.format('%d', row[EXPIRES_AT]), ref)
  end
  if row[STATE] == QUEUED then
    push('ZADD', 'lane:' .. lane_of(row), string.format('%d', row[RUN_AT]), ref)
  else
    push('ZADD', 'state:' .. BLOCKED, ref, ref)
  end
  count(row, row[STATE], 1)
  return row
end

local function add(jobs)
  local ids, fresh = sort_out(jobs)
  if #fresh == 0 then
    return ids
  end
  -- The version grows by as many, and gives the names.
  local last, lanes = call('INCRBY', BASE .. 'version', #fresh) - #fresh, {}
  for i, job in ipairs(fresh) do
    local row = insert(job, ref_of(last + i))
    if row[STATE] == QUEUED then
      lanes[lane_of(row)] = true
    end
  end
  for lane in pairs(lanes) do
    call('SADD', BASE .. 'lanes', lane)
  end
  has_freed, has_changed, is_counted = true, true, true
  return ids
end
