-- turn: record what ended and claim what comes next.
-- needs: clock columns row say ring news line change pipeline lock settle session pause plain
-- flags: allow-oom

-- The bell is that of a process that will rest if nothing is left for it, or ''.
local BELL, SESSION_NUMBER, ITS_WORD, CLAIM_NUMBER, WISH, KNOWN, IDS, COUNT = 2, 3, 4, 5, 6, 7, 8, 9
local session, number = ARGV[SESSION_NUMBER], tonumber(ARGV[CLAIM_NUMBER])
local number_of_session = tonumber(session)
local is_me = is_meant(session, ARGV[ITS_WORD])

-- --- settling

-- Behind these arguments, of each settlement: the row's name; whether a result follows, the fence and the start, packed;
-- then the result, or how it ended otherwise. Jobs that ended with one are told by ITS_IDS, for who waits.
local count_of_settlements = tonumber(ARGV[COUNT])

-- Whether it counted, now or before; else it is stale.
local function settle(ref, claim, ending)
  local row = row_of(ref)
  local has_result, fence, started_at = struct.unpack('>BI4l', claim)
  if not is_me or not row or row[SESSION] ~= number_of_session or row[FENCE] < fence then
    return false
  end
  if row[STATE] == RUNNING and row[FENCE] == fence then
    row[STARTED_AT] = started_at
    settle_as(row, has_result == 1 and { state = 'succeeded', outcome = ending, crashes = 0 } or cjson.decode(ending))
  end
  return true
end

local function settle_all()
  local refs, stale, n = {}, {}, count_of_settlements
  for i = 1, n do
    refs[i] = ARGV[COUNT + i]
  end
  fetch(refs)
  local succeed = plain_success(number_of_session)
  for i, ref in ipairs(refs) do
    local claim, ending = ARGV[COUNT + n + i], ARGV[COUNT + 2 * n + i]
    local is_plain = is_me and string.byte(claim) == 1 and succeed(ref, string.sub(claim, 2, 5), string.sub(claim, 6), ending)
    if not is_plain and not settle(ref, claim, ending) then
      stale[#stale + 1] = i - 1
    end
  end
  if ARGV[IDS] ~= '[]' then
    say(BASE .. 'ended', ARGV[IDS])
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
        for _, each in ipairs(cjson.decode(ARGV[KNOWN])) do
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

-- Of two names of rows; no turn changes the columns by which it is said.
local function comes_before(one, other)
  local its_priority, priority = priority_in(texts[one]), priority_in(texts[other])
  if its_priority ~= priority then
    return its_priority > priority
  end
  local its_run_at, run_at = run_at_in(texts[one]), run_at_in(texts[other])
  if its_run_at ~= run_at then
    return its_run_at < run_at
  end
  return one < other
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
  happened(row[REF])
  count(row, RUNNING, 1)
  has_changed = true
end

-- The due jobs at the head of lanes of one executor and one priority, in order, at most *want*; and the lane of each.
local function heads(lanes, want)
  local due, lane_by_ref = {}, {}
  for _, lane in ipairs(lanes) do
    local first = call('ZRANGEBYSCORE', BASE .. 'lane:' .. lane.name, '-inf', string.format('%d', NOW), 'LIMIT', 0, want)
    for _, ref in ipairs(first) do
      due[#due + 1], lane_by_ref[ref] = ref, lane.name
    end
  end
  fetch(due)
  if #lanes > 1 then
    table.sort(due, comes_before)
  end
  for i = #due, want + 1, -1 do
    due[i] = nil
  end
  return due, lane_by_ref
end

local function claim_from(lanes, want, chosen, start_plainly)
  while want > 0 do
    local due, lane_by_ref = heads(lanes, want)
    local leaving, left = {}, 0
    if #due == 0 then
      break
    end
    for _, ref in ipairs(due) do
      local is_started, leaves = start_plainly(ref), true
      local row = not is_started and row_of(ref)
      if row and may_run(row) then
        start(row)
        is_started, leaves = true, row[LOCKED] == 0
      elseif row then
        leaves = false
      end
      if leaves then
        local lane = lane_by_ref[ref]
        local refs = leaving[lane] or {}
        leaving[lane], refs[#refs + 1], left = refs, ref, left + 1
      end
      if is_started then
        chosen[#chosen + 1] = ref
        want = want - 1
      end
    end
    if #lanes == 1 and left == #due then
      call('ZREMRANGEBYRANK', BASE .. 'lane:' .. lanes[1].name, 0, left - 1)
      leaving = {}
    end
    for lane, refs in pairs(leaving) do
      in_parts(refs, function(...)
        call('ZREM', BASE .. 'lane:' .. lane, ...)
      end)
    end
  end
end

local function claim_new(lanes, wants)
  local chosen, groups, start_plainly = {}, 0, plain_start(number_of_session, number)
  local first = 1
  while first <= #lanes do
    local group, last = {}, first
    while lanes[last] and lanes[last].priority == lanes[first].priority and lanes[last].executor == lanes[first].executor do
      group[#group + 1] = lanes[last]
      last = last + 1
    end
    local before = #chosen
    claim_from(group, wants[lanes[first].executor], chosen, start_plainly)
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
    if row_of(ref)[CLAIM] == number then
      chosen[#chosen + 1] = ref
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

-- Of what was claimed: names and rows as one text; the calls as a list; and one of the results of the steps before, each
-- behind the place of its job.
local function told(refs)
  local columns, calls, given = {}, {}, {}
  in_parts(refs, function(...)
    calls[#calls + 1] = table.concat(call('HMGET', BASE .. 'call', ...), ',')
  end)
  for i, ref in ipairs(refs) do
    local text = texts[ref]
    columns[2 * i - 1], columns[2 * i] = ref, columns_in(text)
    local before = string.byte(text, PIPED) == 1 and step_before(row_of(ref))
    local result = before and before[STATE] == SUCCEEDED and call('HGET', BASE .. 'outcome', before[REF])
    if result then
      given[#given + 1] = '[' .. i - 1 .. ',' .. cjson.encode(result) .. ']'
    end
  end
  return table.concat(columns), joined(calls), joined(given)
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
  return earliest
end

-- Whether the process behind the bell is known to rest now, with room for any job.
local function rests(wants, earliest)
  if ARGV[BELL] == '' or earliest <= NOW then
    return 0
  end
  for _, want in pairs(wants) do
    if want == 0 then
      return 0
    end
  end
  call('SREM', BASE .. 'resting:some', ARGV[BELL])
  call('SADD', BASE .. 'resting:all', ARGV[BELL])
  return 1
end

local stale = settle_all()
flush()
expire()
flush()
local wish = cjson.decode(ARGV[WISH])
local lanes = served_lanes(wish)
local claimed = {}
if is_me and call('HEXISTS', BASE .. 'sessions', session) == 1 then
  claimed = claim(lanes, wish.wants)
end
flush()
local rows_told, calls, given = told(claimed)
local earliest = next_at(lanes)
local next_text = earliest == math.huge and 'null' or string.format('%d', earliest)
forget_events()
local reply = finish(joined({ listed(stale), calls, given, next_text }))
local version = tonumber(call('GET', BASE .. 'version') or 0)
return { reply, version, string.format('%d', NOW), rows_told, rests(wish.wants, earliest) }
