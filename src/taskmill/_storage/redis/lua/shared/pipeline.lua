-- The steps of pipelines, and what becomes of the later ones.

local function steps(row, first, last)
  if row[PIPED] == 0 then
    return {}
  end
  local refs = call('ZRANGEBYSCORE', BASE .. 'steps:' .. call_of(row)[PIPELINE], first, last)
  local found = {}
  fetch(refs)
  for i, ref in ipairs(refs) do
    found[i] = row_of(ref)
  end
  return found
end

local function step_before(row)
  return steps(row, row[STEP] - 1, row[STEP] - 1)[1]
end

local function step_after(row)
  return steps(row, row[STEP] + 1, row[STEP] + 1)[1]
end

local function later_steps(row)
  return steps(row, row[STEP] + 1, '+inf')
end

-- Whether a later step has not ended, so that the result must stay.
local function is_needed(row)
  for _, step in ipairs(later_steps(row)) do
    if not is_final(step) then
      return true
    end
  end
  return false
end

-- --- cancelling

-- What a job was cancelled for.
local REVOKED, EXPIRED = 'revoked', 'expired'
local STEP_BEFORE = 'a step before it did not succeed'

local function cancel_one(row, reason)
  end_as(row, id_of(row), CANCELLED, cjson.encode({ reason, cjson.null }))
  note('cancelled', row, reason)
end

local function cancel_later(row)
  for _, step in ipairs(later_steps(row)) do
    if step[STATE] == BLOCKED then
      cancel_one(step, STEP_BEFORE)
    end
  end
end

local function cancel(row, reason)
  cancel_one(row, reason)
  cancel_later(row)
end

-- After a waiting job is gone: it may have been the one that was let through to its lock.
local function let_next_through(row)
  if row[LOCKED] == 1 then
    let_through(call_of(row)[LOCK])
  end
end

