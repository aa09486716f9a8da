-- retry: queue a failed or cancelled job again with (at least) one more attempt.
-- needs: clock columns row say ring news line change pipeline lock settle
-- flags: allow-oom

local function reopen(row)
  if row[EXPIRES_AT] ~= 0 then
    call('ZREM', BASE .. 'expiring', row[REF])
  end
  row[EXPIRES_AT] = 0
end

local function reason_of(row)
  local outcome = call('HGET', BASE .. 'outcome', row[REF])
  return outcome and cjson.decode(outcome)[1]
end

local function block_again(row)
  -- Behind one that is gone, or was cancelled for its own sake, none would ever have its turn.
  local following = step_after(row)
  while following and following[STATE] == CANCELLED and reason_of(following) == STEP_BEFORE do
    reopen(following)
    move(following, BLOCKED)
    following[ENDED_AT] = 0
    forget_outcome(following)
    following = step_after(following)
  end
end

local function queue_again(row)
  local outcome = call('HGET', BASE .. 'outcome', row[REF])
  local error = outcome and cjson.decode(outcome)[2] or cjson.null
  if error ~= cjson.null then
    remember(row, row[STATE] == FAILED and 'failed' or 'cancelled', error, row[ENDED_AT])
  end
  row[RUN_AT] = NOW
  row[MAX_ATTEMPTS] = math.max(row[MAX_ATTEMPTS], row[ATTEMPT] + 1)
  row[CANCELLING], row[CRASHES] = 0, 0
  reopen(row)
  queue(row)
  row[ENDED_AT] = 0
  forget_outcome(row)
  block_again(row)
end

local function retry(job_id)
  local row = find(job_id)
  if not row or row[STATE] < FAILED then
    return false
  end
  if row[STEP] > 0 then
    local before = step_before(row)
    if not before or before[STATE] ~= SUCCEEDED then
      return false
    end
  end
  queue_again(row)
  return true
end

return finish(tostring(retry(ARGV[2])))
