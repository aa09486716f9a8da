-- Jobs with neither lock nor pipeline, which most are. To unpack and pack a row takes longer than all commands about it: so
-- their rows are put together from pieces of text, and what a piece says is found out once for all rows that share it.

-- Where columns begin in a packed row.
local AT = {
  priority = 9, attempt = 11, max_attempts = 15, fence = 19, rescues = 23, session = 35, claim = 43, enqueued = 51,
  run = 59, claimed = 67, started = 75, ended = 83, expires = 91, place = 115,
}

local sub = string.sub

local function priority_in(text)
  return (struct.unpack('>h', text, AT.priority))
end

local function run_at_in(text)
  return (struct.unpack('>l', text, AT.run))
end

-- All that has a fixed length, as rows.py reads it.
local function columns_in(text)
  return sub(text, 1, AT.place - 1)
end

-- A table that finds what it does not know yet.
local function memo(find)
  return setmetatable({}, {
    __index = function(known, piece)
      local found = find(piece)
      known[piece] = found
      return found
    end,
  })
end

-- A function that ends such a job with a result, if the claim is that session's and holds; whether it did. It is of use
-- until the next flush.
local function plain_success(session)
  local enqueued, started, expires = AT.enqueued, AT.started, AT.expires
  local mine, ended_at = struct.pack('>I8', session), struct.pack('>l', NOW)
  local leaving, outcomes = later('SREM', string.format('held:%d', session)), later('HSET', 'outcome')
  -- All up to the claim.
  local heads = memo(function(head)
    local state, parked, _, _, is_cancelling, is_locked, is_piped = string.byte(head, 1, AT.priority - 1)
    local is_plain = parked + is_cancelling + is_locked + is_piped == 0
    local is_mine = state == RUNNING and sub(head, AT.session, AT.claim - 1) == mine
    return is_plain and is_mine
      and { fence = sub(head, AT.fence, AT.rescues - 1), ended = string.char(SUCCEEDED) .. sub(head, 2) }
  end)
  -- All behind the instants that a turn sets.
  local tails = memo(function(tail)
    local _, _, ttl, place = struct.unpack('>llls', tail)
    local queue = queue_in(place)
    return ttl > 0 and { queue = queue, ends = later('ZADD', 'ended:' .. queue), until_ = string.format('%d', NOW + ttl) }
  end)
  return function(ref, fence, started_at, result)
    local text = not rows[ref] and texts[ref]
    local head = text and heads[sub(text, 1, enqueued - 1)]
    local tail = head and head.fence == fence and tails[sub(text, expires)]
    if not tail then
      return false
    end
    rewrite(ref, head.ended .. sub(text, enqueued, started - 1) .. started_at .. ended_at .. sub(text, expires))
    local ends = tail.ends
    local n, m = #outcomes, #ends
    leaving[#leaving + 1] = ref
    outcomes[n + 1], outcomes[n + 2] = ref, result
    ends[m + 1], ends[m + 2] = tail.until_, ref
    happened(ref)
    count_in(tail.queue, RUNNING, -1)
    count_in(tail.queue, SUCCEEDED, 1)
    has_changed = true
    return true
  end
end

-- A function that starts such a job for that session under that number; whether it did. It is of use until the next flush.
local function plain_start(session, number)
  local enqueued, claimed, ended = AT.enqueued, AT.claimed, AT.ended
  local claim, instants = struct.pack('>I8I8', session, number), struct.pack('>ll', NOW, 0)
  local taken = later('SADD', string.format('held:%d', session))
  -- All up to the session.
  local heads = memo(function(head)
    local _, parked, _, _, _, is_locked = string.byte(head, 1, AT.priority - 1)
    local attempt, _, fence = struct.unpack('>I4I4I4', head, AT.attempt)
    return parked + is_locked == 0
      and string.char(RUNNING) .. sub(head, 2, AT.attempt - 1) .. struct.pack('>I4', attempt + 1)
        .. sub(head, AT.max_attempts, AT.fence - 1) .. struct.pack('>I4', fence + 1) .. sub(head, AT.rescues) .. claim
  end)
  -- All behind the instants that a turn sets.
  local tails = memo(function(tail)
    local _, expires_at, _, _, place = struct.unpack('>lllls', tail)
    return { queue = queue_in(place), expires = expires_at ~= 0 }
  end)
  return function(ref)
    local text = not rows[ref] and texts[ref]
    local head = text and heads[sub(text, 1, AT.session - 1)]
    if not head then
      return false
    end
    local rest = sub(text, ended)
    local tail = tails[rest]
    rewrite(ref, head .. sub(text, enqueued, claimed - 1) .. instants .. rest)
    if tail.expires then
      call('ZREM', BASE .. 'expiring', ref)
    end
    taken[#taken + 1] = ref
    happened(ref)
    count_in(tail.queue, RUNNING, 1)
    has_changed = true
    return true
  end
end
