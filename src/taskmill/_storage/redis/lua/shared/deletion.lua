-- What prune, purge and delete share: ended jobs are found by queue, those first whose time is over first.

local function known_queues()
  local known, found = {}, {}
  for _, name in ipairs(call('HKEYS', BASE .. 'counts')) do
    local queue = string.match(name, ' (.*)')
    if not known[queue] then
      known[queue] = true
      found[#found + 1] = queue
    end
  end
  return found
end

-- Calls *see* with each row that is outlived at *instant*, as long as it answers true.
local function look_through_ended(queue, instant, see)
  local offset = 0
  while true do
    local refs = call('ZRANGEBYSCORE', BASE .. 'ended:' .. queue, '-inf', instant, 'LIMIT', offset, MOST)
    fetch(refs)
    for _, ref in ipairs(refs) do
      if not see(row_of(ref)) then
        return
      end
    end
    if #refs < MOST then
      return
    end
    offset = offset + MOST
  end
end

-- Some may be given twice.
local function delete_all(found)
  for _, row in ipairs(found) do
    if not row.is_gone then
      ended[#ended + 1] = id_of(row)
      delete(row)
    end
  end
end

-- With the blocked steps behind them.
local function delete_waiting(found)
  for i = 1, #found do
    for _, step in ipairs(later_steps(found[i])) do
      if step[STATE] == BLOCKED then
        found[#found + 1] = step
      end
    end
  end
  delete_all(found)
  for _, row in ipairs(found) do
    let_next_through(row)
  end
end
