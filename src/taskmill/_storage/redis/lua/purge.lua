-- purge: delete waiting or ended jobs by hand.
-- needs: clock columns row say ring news line change pipeline deletion
-- flags: allow-oom

local only, limit = cjson.decode(ARGV[2]), tonumber(ARGV[4])

local function is_asked_for(row)
  return only == cjson.null or queue_of(row) == only
end

local function ended_rows()
  local found = {}
  for _, queue in ipairs(only == cjson.null and known_queues() or { only }) do
    look_through_ended(queue, '+inf', function(row)
      if #found < limit and not is_needed(row) then
        found[#found + 1] = row
      end
      return #found < limit
    end)
  end
  return found
end

local function waiting_rows()
  local found = {}
  local function take(name)
    for _, member in ipairs(call('ZRANGE', BASE .. name, 0, -1)) do
      if #found == limit then
        return
      end
      local row = row_of(string.match(member, '%d+$'))
      if is_asked_for(row) then
        found[#found + 1] = row
      end
    end
  end
  for _, lane in ipairs(call('SMEMBERS', BASE .. 'lanes')) do
    take('lane:' .. lane)
  end
  for _, lock in ipairs(call('SMEMBERS', BASE .. 'awaited')) do
    take('parked:' .. lock)
  end
  take('state:' .. BLOCKED)
  return found
end

if ARGV[3] == 'ended' then
  delete_all(ended_rows())
else
  delete_waiting(waiting_rows())
end
return finish(tostring(#ended))
