-- verify: the rules that some jobs break, and at the beginning those that locks, sessions and lanes break.
-- needs: clock columns row say ring news line
-- flags: no-writes

local cursor, broken = ARGV[2], {}

local function blame(rule, name)
  broken[#broken + 1] = { rule, name }
end

local function is_session(session)
  return call('HEXISTS', BASE .. 'sessions', string.format('%d', session)) == 1
end

local function has(name, member)
  return call('ZSCORE', BASE .. name, member)
end

local function step_before(row)
  local steps = BASE .. 'steps:' .. call_of(row)[PIPELINE]
  local ref = call('ZRANGEBYSCORE', steps, row[STEP] - 1, row[STEP] - 1)[1]
  return ref and row_of(ref)
end

-- --- jobs

local function verify_queued(row)
  local lock = call_of(row)[LOCK]
  if row[PARKED] == 1 then
    if call('SISMEMBER', BASE .. 'awaited', lock) == 0 then
      blame('waits-for-a-lock-unknown', id_of(row))
    end
  elseif tonumber(has('lane:' .. lane_of(row), row[REF]) or -1) ~= row[RUN_AT] then
    blame('queued-in-no-lane', id_of(row))
  elseif call('SISMEMBER', BASE .. 'lanes', lane_of(row)) == 0 then
    blame('lane-that-nobody-sees', id_of(row))
  end
end

local function verify_row(row)
  local state = row[STATE]
  if state == QUEUED then
    verify_queued(row)
  elseif state == RUNNING then
    local session = string.format('%d', row[SESSION])
    if not is_session(row[SESSION]) or call('SISMEMBER', BASE .. 'held:' .. session, row[REF]) == 0 then
      blame('running-without-session', id_of(row))
    end
  elseif is_final(row) and not has('ended:' .. queue_of(row), row[REF]) then
    blame('ended-and-kept-for-ever', id_of(row))
  end
  if row[STEP] > 0 and not is_final(row) then
    local before = step_before(row)
    if state == BLOCKED and (not before or is_final(before)) then
      blame('blocked-for-ever', id_of(row))
    elseif state ~= BLOCKED and (not before or before[STATE] ~= SUCCEEDED) then
      blame('step-before-its-turn', id_of(row))
    end
  end
  if row[EXPIRES_AT] ~= 0 and is_waiting(row) and not has('expiring', row[REF]) then
    blame('never-expires', id_of(row))
  end
  if row[CANCELLING] == 1 and is_waiting(row) then
    blame('cancelled-and-yet-waiting', id_of(row))
  end
end

-- --- all else

local function verify_lock(name)
  local lock = cjson.decode(call('HGET', BASE .. 'locks', name))
  local row = lock[4] ~= '' and row_of(lock[4])
  if not is_session(lock[2]) then
    blame('lock-without-session', name)
  elseif lock[4] ~= '' then
    local is_held = row and row[STATE] == RUNNING and row[SESSION] == lock[2] and call_of(row)[LOCK] == name
    if not is_held then
      blame('lock-without-its-job', name)
    end
  end
end

local function is_let_through(lock)
  for _, lane in ipairs(call('SMEMBERS', BASE .. 'lanes')) do
    for _, ref in ipairs(call('ZRANGE', BASE .. 'lane:' .. lane, 0, -1)) do
      local row = row_of(ref)
      if row and row[LOCKED] == 1 and call_of(row)[LOCK] == lock then
        return true
      end
    end
  end
  return false
end

local function verify_all_else()
  for _, name in ipairs(call('HKEYS', BASE .. 'locks')) do
    verify_lock(name)
  end
  for _, lock in ipairs(call('SMEMBERS', BASE .. 'awaited')) do
    if call('HEXISTS', BASE .. 'locks', lock) == 0 and not is_let_through(lock) then
      blame('lock-that-wakes-nobody', lock)
    end
  end
  for _, lane in ipairs(call('SMEMBERS', BASE .. 'lanes')) do
    for _, ref in ipairs(call('ZRANGE', BASE .. 'lane:' .. lane, 0, MOST)) do
      local row = row_of(ref)
      if not row or row[STATE] ~= QUEUED or row[PARKED] == 1 then
        blame('in-line-and-not-queued', ref)
      end
    end
  end
end

if cursor == '0' then
  verify_all_else()
end
local page = call('HSCAN', BASE .. 'row', cursor, 'COUNT', MOST)
for i = 1, #page[2], 2 do
  local ref = page[2][i]
  rows[ref] = rows[ref] or unpacked(ref, page[2][i + 1])
  if not call('HGET', BASE .. 'call', ref) then
    blame('row-without-call', ref)
  elseif tonumber(has('ids', id_of(rows[ref])) or -1) ~= tonumber(ref) then
    blame('job-that-nobody-finds', id_of(rows[ref]))
  else
    verify_row(rows[ref])
  end
end
return cjson.encode({ page[1] ~= '0' and page[1] or '', #broken > 0 and broken or cjson.null })
