-- How an attempt ends, as lifecycle.py has decided; and how a job is taken back.

-- As many as KEPT_RELEASES.
local KEPT = 50
-- In a text of JSON, a quotation mark has a backslash before it: so this is found in none.
local RELEASED = '%[%d+, ?"released",[^%]]*%],? ?'

-- The history without the oldest runs that were given back, if there are too many.
local function without_old_releases(history)
  local _, count = history:gsub(RELEASED, '')
  return count > KEPT and history:gsub(RELEASED, '', count - KEPT) or history
end

local function remember(row, outcome, error, ended_at)
  local session = row[SESSION] == 0 and 'null' or string.format('%d', row[SESSION])
  local started_at = row[STARTED_AT] == 0 and 'null' or string.format('%d', row[STARTED_AT])
  local attempt = string.format('[%d,"%s",%s,%d,', row[ATTEMPT], outcome, started_at, ended_at)
    .. cjson.encode(error) .. ',' .. session .. ']'
  local before = call('HGET', BASE .. 'history', row[REF])
  local history = before and before .. ',' .. attempt or attempt
  if outcome == 'released' then
    history = without_old_releases(history)
  end
  call('HSET', BASE .. 'history', row[REF], history)
end

local function hand_back(row)
  row[ATTEMPT] = row[ATTEMPT] - 1
  row[CLAIMED_AT], row[STARTED_AT] = 0, 0
end

-- *how*: see jobs.py.
local function end_attempt(row, how)
  if how.kept then
    remember(row, how.event, how.error, NOW)
  end
  if row[CANCELLING] == 1 then
    cancel(row, REVOKED)
    return
  end
  if how.acquits then
    row[SUSPECT], row[HANDED_ON] = 0, 0
  elseif how.hand_on then
    row[HANDED_ON] = 1
  end
  if how.hand_back then
    hand_back(row)
  end
  -- Given back at once, it keeps its place in the queue.
  if how.delay > 0 or not how.hand_back then
    row[RUN_AT] = NOW + how.delay
  end
  queue(row)
end

local function follow_up(row)
  if row[STATE] ~= SUCCEEDED then
    cancel_later(row)
    return
  end
  local following = step_after(row)
  if following and following[STATE] == BLOCKED then
    following[RUN_AT] = math.max(following[RUN_AT], NOW + following[DELAY])
    queue(following)
    note('unblocked', following)
  end
  if row[RESULT_TTL] == 0 and not is_needed(row) then
    delete(row)
  end
end

local function settle_as(row, how)
  row[CRASHES] = row[CRASHES] + how.crashes
  if how.state == 'queued' then
    end_attempt(row, how)
  else
    local state = how.state == 'succeeded' and SUCCEEDED or how.state == 'failed' and FAILED or CANCELLED
    end_as(row, id_of(row), state, how.outcome ~= cjson.null and how.outcome)
    follow_up(row)
  end
  free_lock_of(row)
end

-- Take from *session* all that it holds.
local function take_back(session, kind)
  local held = call('SMEMBERS', BASE .. 'held:' .. session)
  table.sort(held)
  fetch(held)
  for _, ref in ipairs(held) do
    local row = row_of(ref)
    if kind == 'rescued' then
      row[RESCUES] = row[RESCUES] + 1
    end
    hand_back(row)
    if row[CANCELLING] == 1 then
      cancel(row, REVOKED)
    else
      queue(row)
      note(kind, row)
    end
    row[SESSION] = 0
  end
  for _, name in ipairs(call('HKEYS', BASE .. 'locks')) do
    if lock_of(name)[HOLDER] == tonumber(session) then
      free(name)
    end
  end
end
