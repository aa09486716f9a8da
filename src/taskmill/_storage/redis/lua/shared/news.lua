-- What an operation did, for its answer, for who waits, and for the counts.

local ended, notices, tally = {}, {}, {}
local has_freed, has_changed = false, false

local function note(kind, row, reason)
  notices[#notices + 1] = cjson.encode({ kind, id_of(row), reason or cjson.null })
end

local function count_in(queue, state, by)
  local counts = tally[state]
  if not counts then
    counts = {}
    tally[state] = counts
  end
  counts[queue] = (counts[queue] or 0) + by
end

local function count(row, state, by)
  count_in(queue_of(row), state, by)
end

local function write_counts()
  for state, counts in pairs(tally) do
    for queue, by in pairs(counts) do
      local name = state .. ' ' .. queue
      if by ~= 0 and call('HINCRBY', BASE .. 'counts', name, by) == 0 then
        call('HDEL', BASE .. 'counts', name)
      end
    end
  end
end

-- What every operation that changes something answers, and whom it wakes; *answer* is JSON.
local function finish(answer)
  flush()
  write_counts()
  if has_changed then
    call('INCR', BASE .. 'version')
  end
  local gone = listed(ended)
  if #ended > 0 then
    say(BASE .. 'ended', gone)
  end
  if has_freed then
    ring()
  end
  return '[' .. answer .. ',' .. joined(notices) .. ',' .. gone .. ',' .. tostring(has_freed) .. ']'
end
