-- unpack: store what another store packed, once.
-- needs: clock columns row say ring news line change schedule

local COLUMNS_OF_A_JOB = 8
local last_schedule = 3 + tonumber(ARGV[3])
local known = {}

local function adopt(schedule)
  local mine = schedule_of(schedule[NAME])
  if not mine then
    keep(schedule)
    return
  end
  if mine[FIRED] == 0 or tonumber(schedule[LAST_SLOT]) > tonumber(mine[LAST_SLOT]) then
    mine[LAST_SLOT] = schedule[LAST_SLOT]
  end
  if mine[LAST_JOB] == cjson.null then
    mine[LAST_JOB] = schedule[LAST_JOB]
  end
  if mine[PAUSED_AT] == cjson.null then
    mine[PAUSED_AT] = schedule[PAUSED_AT]
  end
  mine[FIRED] = mine[FIRED] + schedule[FIRED]
  mine[SKIPPED] = mine[SKIPPED] + schedule[SKIPPED]
  keep(mine)
end

-- *key* and *pipeline*: as insert.lua has them.
local function insert(id, packed, its_call, key, pipeline, outcome, history, journal)
  local is_known = call('ZSCORE', BASE .. 'ids', id) or key ~= '' and call('HEXISTS', BASE .. 'keys', key) == 1
  if is_known then
    known[#known + 1] = id
    return
  end
  local ref = ref_of(call('INCR', BASE .. 'version'))
  local row = unpacked(ref, packed)
  rows[ref] = row
  call('ZADD', BASE .. 'ids', ref, id)
  call('HSET', BASE .. 'call', ref, its_call)
  if key ~= '' then
    call('HSET', BASE .. 'keys', key, id)
  end
  if pipeline ~= '' then
    call('ZADD', BASE .. 'steps:' .. string.sub(pipeline, 2), row[STEP], ref)
  end
  if outcome ~= '' then
    call('HSET', BASE .. 'outcome', ref, outcome)
  end
  if history ~= '' then
    call('HSET', BASE .. 'history', ref, history)
  end
  if journal ~= '' then
    in_parts(cjson.decode(journal), function(...)
      call('HSET', BASE .. 'journal:' .. ref, ...)
    end)
  end
  if row[STATE] == QUEUED then
    enter(row)
  else
    count(row, row[STATE], 1)
  end
  if row[STATE] == BLOCKED or row[STATE] >= FAILED then
    call('ZADD', BASE .. 'state:' .. row[STATE], ref, ref)
  end
  if is_final(row) then
    call('ZADD', BASE .. ended_key(row), string.format('%d', outlived_at(row)), ref)
  elseif row[EXPIRES_AT] ~= 0 then
    call('ZADD', BASE .. 'expiring', string.format('%d', row[EXPIRES_AT]), ref)
  end
  touch(row)
  happened(row[REF])
end

local function unpack_all()
  if call('SADD', BASE .. 'unpacked', ARGV[2]) == 0 then
    return 'null'
  end
  for i = 4, last_schedule do
    adopt(cjson.decode(ARGV[i]))
  end
  for i = last_schedule + 1, #ARGV, COLUMNS_OF_A_JOB do
    insert(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6], ARGV[i + 7])
  end
  has_changed, has_freed = true, true
  return listed(known)
end

return finish(unpack_all())
