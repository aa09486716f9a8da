-- turn: record what ended and claim what comes next.
-- needs: clock columns row ring news line change pipeline lock settle session pause
-- flags: allow-oom

local session, number = ARGV[2], tonumber(ARGV[4])
local number_of_session = tonumber(session)
local is_me = is_meant(session, ARGV[3])
-- Of a settlement; either a result follows, or how it ended otherwise.
local ITS_REF, ITS_FENCE, ITS_JOB_ID, ITS_START, ITS_END = 1, 2, 3, 4, 5

-- --- settling

-- What is written of jobs that touch no other row; by queue, when their time to be kept is over.
local held, outcomes, kept = later('SREM', 'held:' .. session), later('HSET', 'outcome'), {}

-- Ends such a job; what most settlements come to.
local function succeed_plainly(row, job_id, result)
  local ref, queue, n = row[REF], queue_of(row), #outcomes
  local ends = kept[queue] or later('ZADD', ended_key(row))
  local m = #ends
  kept[queue] = ends
  row[STATE], row[ENDED_AT] = SUCCEEDED, NOW
  touch(row)
  held[#held + 1] = ref
  ends[m + 1], ends[m + 2] = string.format('%d', NOW + row[RESULT_TTL]), ref
  outcomes[n + 1], outcomes[n + 2] = ref, result
  if row[CANCELLING] == 1 then
    call('SREM', BASE .. 'cancelling', ref)
  end
  happened(row)
  count(row, RUNNING, -1)
  count(row, SUCCEEDED, 1)
  ended[#ended + 1] = job_id
  has_changed = true
end

-- Whether it counted, now or before; else it is stale.
local function settle(item, row)
  if not is_me or not row or row[SESSION] ~= number_of_session or row[FENCE] < item[ITS_FENCE] then
    return false
  end
  if row[STATE] == RUNNING and row[FENCE] == item[ITS_FENCE] then
    local ending = item[ITS_END]
    row[STARTED_AT] = item[ITS_START]
    if type(ending) == 'table' then
      settle_as(row, ending)
    elseif row[LOCKED] == 0 and row[PIPED] == 0 and row[RESULT_TTL] > 0 then
      succeed_plainly(row, item[ITS_JOB_ID], ending)
    else
      settle_as(row, { state = 'succeeded', outcome = ending, crashes = 0 })
    end
  end
  return true
end

local function settle_all(items)
  local refs, stale = {}, {}
  for i, item in ipairs(items) do
    refs[i] = ref_of(item[ITS_REF])
  end
  fetch(refs)
  for i, item in ipairs(items) do
    if not settle(item, row_of(refs[i])) then
      stale[#stale + 1] = i - 1
    end
  end
  return stale
end

local function expire()
  local refs = call('ZRANGEBYSCORE', BASE .. 'expiring', '-inf', string.format('%d', NOW))
  fetch(refs)
  local expired = {}
  for i, ref in ipairs(refs) do
    expired[i] = row_of(ref)
  end
  -- The last steps first, or they would be cancelled for the sake of a step before them.
  table.sort(expired, function(one, other)
    return one[STEP] > other[STEP]
  end)
  for _, row in ipairs(expired) do
    cancel(row, EXPIRED)
  end
  for _, row in ipairs(expired) do
    let_next_through(row)
  end
end

-- --- the lanes that the turn is about

-- *wish*: wants by executor, queues or null; knows is read only where something was handed on.
local function served_lanes(wish)
  local queues, known, paused, found = nil, nil, nil, {}
  if wish.queues ~= cjson.null then
    queues = {}
    for _, name in ipairs(wish.queues) do
      queues[name] = true
    end
  end
  for _, name in ipairs(call('SMEMBERS', BASE .. 'lanes')) do
    local executor, priority, rest = string.match(name, '^(%a+) (%-?%d+) (.*)$')
    local is_served = (wish.wants[executor] or 0) > 0
    local its_queue, task = string.match(rest, '^(.*)%z(.*)$')
    its_queue = its_queue or rest
    is_served = is_served and (not queues or queues[its_queue])
    if is_served then
      paused = paused or paused_queues()
      is_served = not paused[its_queue]
    end
    if is_served and task then
      if not known then
        known = {}
        for _, each in ipairs(cjson.decode(ARGV[7])) do
          known[each] = true
        end
      end
      is_served = known[task]
    end
    if is_served then
      found[#found + 1] = { name = name, executor = executor, priority = tonumber(priority) }
    end
  end
  table.sort(found, function(one, other)
    if one.priority ~= other.priority then
      return one.priority > other.priority
    end
    return one.executor < other.executor
  end)
  return found
end

local function comes_before(one, other)
  if one[PRIORITY] ~= other[PRIORITY] then
    return one[PRIORITY] > other[PRIORITY]
  elseif one[RUN_AT] ~= other[RUN_AT] then
    return one[RUN_AT] < other[RUN_AT]
  end
  return one[REF] < other[REF]
end

-- --- claiming

local function may_run(row)
  if row[LOCKED] == 0 then
    return true
  end
  local name = call_of(row)[LOCK]
  if call('HEXISTS', BASE .. 'locks', name) == 1 then
    park(row, name)
    return false
  end
  take_lock(name, number_of_session, row[REF], '')
  call('ZREM', BASE .. 'lane:' .. lane_of(row), row[REF])
  return true
end

local function start(row)
  row[STATE], row[SESSION], row[CLAIM] = RUNNING, number_of_session, number
  row[FENCE], row[ATTEMPT] = row[FENCE] + 1, row[ATTEMPT] + 1
  row[CLAIMED_AT], row[STARTED_AT] = NOW, 0
  touch(row)
  if row[EXPIRES_AT] ~= 0 then
    call('ZREM', BASE .. 'expiring', row[REF])
  end
  local taken = later('SADD', 'held:' .. session)
  taken[#taken + 1] = row[REF]
  happened(row)
  count(row, RUNNING, 1)
  has_changed = true
end

-- The due jobs at the head of lanes of one executor and one priority, in order; at most *want*.
local function heads(lanes, want)
  local refs, due = {}, {}
  for _, lane in ipairs(lanes) do
    local first = call('ZRANGEBYSCORE', BASE .. 'lane:' .. lane.name, '-inf', string.format('%d', NOW), 'LIMIT', 0, want)
    for _, ref in ipairs(first) do
      refs[#refs + 1] = ref
    end
  end
  fetch(refs)
  for i, ref in ipairs(refs) do
    due[i] = row_of(ref)
  end
  if #lanes > 1 then
    table.sort(due, comes_before)
  end
  for i = #due, want + 1, -1 do
    due[i] = nil
  end
  return due
end

local function claim_from(lanes, want, chosen)
  while want > 0 do
    local due, leaving = heads(lanes, want), {}
    if #due == 0 then
      break
    end
    for _, row in ipairs(due) do
      if may_run(row) then
        if row[LOCKED] == 0 then
          local lane = #lanes == 1 and lanes[1].name or lane_of(row)
          leaving[lane] = leaving[lane] or {}
          table.insert(leaving[lane], row[REF])
        end
        start(row)
        chosen[#chosen + 1] = row
        want = want - 1
      end
    end
    for lane, refs in pairs(leaving) do
      in_parts(refs, function(...)
        call('ZREM', BASE .. 'lane:' .. lane, ...)
      end)
    end
  end
end

local function claim_new(lanes, wants)
  local chosen, groups = {}, 0
  local first = 1
  while first <= #lanes do
    local group, last = {}, first
    while lanes[last] and lanes[last].priority == lanes[first].priority and lanes[last].executor == lanes[first].executor do
      group[#group + 1] = lanes[last]
      last = last + 1
    end
    local before = #chosen
    claim_from(group, wants[lanes[first].executor], chosen)
    wants[lanes[first].executor] = wants[lanes[first].executor] - (#chosen - before)
    first, groups = last, groups + (#chosen > before and 1 or 0)
  end
  if groups > 1 then
    table.sort(chosen, comes_before)
  end
  if #chosen > 0 then
    call('HSET', BASE .. 'claims', session, number)
  end
  return chosen
end

-- What was claimed under this number before, and is still held.
local function claimed_before()
  local held, chosen = call('SMEMBERS', BASE .. 'held:' .. session), {}
  fetch(held)
  for _, ref in ipairs(held) do
    local row = row_of(ref)
    if row[CLAIM] == number then
      chosen[#chosen + 1] = row
    end
  end
  table.sort(chosen, comes_before)
  return chosen
end

local function claim(lanes, wants)
  local last = call('HGET', BASE .. 'claims', session)
  local chosen = last and number <= tonumber(last) and claimed_before() or {}
  return #chosen > 0 and chosen or claim_new(lanes, wants)
end

local function told(rows_claimed)
  local refs, calls, texts, n = {}, {}, {}, 0
  for i, row in ipairs(rows_claimed) do
    refs[i] = row[REF]
  end
  in_parts(refs, function(...)
    for _, text in ipairs(call('HMGET', BASE .. 'call', ...)) do
      calls[#calls + 1] = text
    end
  end)
  for i, row in ipairs(rows_claimed) do
    local is_plain = row[LOCKED] == 0 and row[PIPED] == 0 and row[RESULT_TTL] > 0
    local executor = row[SUSPECT] == 1 and 'alone' or row[HANDED_ON] == 1 and 'elsewhere' or executor_of(row)
    local before, given = row[STEP] > 0 and step_before(row), 'null'
    if before and before[STATE] == SUCCEEDED then
      local result = call('HGET', BASE .. 'outcome', before[REF])
      given = result and cjson.encode(result) or 'null'
    end
    texts[n + 1] = string.format(
      '%s[%d,%d,%d,%d,%d,%d,%s,"%s",%s,',
      i == 1 and '' or ',',
      row[REF], row[ATTEMPT], row[MAX_ATTEMPTS], row[FENCE], row[CRASHES], row[RUN_AT], tostring(is_plain), executor,
      given
    )
    texts[n + 2], texts[n + 3] = calls[i], ']'
    n = n + 3
  end
  return '[' .. table.concat(texts) .. ']'
end

-- --- when to look again

local function next_at(lanes)
  local earliest = math.huge
  for _, lane in ipairs(lanes) do
    local first = call('ZRANGE', BASE .. 'lane:' .. lane.name, 0, 0, 'WITHSCORES')
    if first[2] then
      earliest = math.min(earliest, tonumber(first[2]))
    else
      call('SREM', BASE .. 'lanes', lane.name)
    end
  end
  local expiring = call('ZRANGE', BASE .. 'expiring', 0, 0, 'WITHSCORES')
  if expiring[2] then
    earliest = math.min(earliest, tonumber(expiring[2]))
  end
  return earliest == math.huge and 'null' or string.format('%d', earliest)
end

local stale = settle_all(cjson.decode(ARGV[5]))
flush()
expire()
flush()
local wish = cjson.decode(ARGV[6])
local lanes = served_lanes(wish)
local claimed = {}
if is_me and call('HEXISTS', BASE .. 'sessions', session) == 1 then
  claimed = claim(lanes, wish.wants)
end
flush()
local claimed_text = told(claimed)
local next_text = next_at(lanes)
forget_events()
local reply = finish(joined({ listed(stale), claimed_text, next_text }))
return { reply, tonumber(call('GET', BASE .. 'version') or 0), string.format('%d', NOW) }
