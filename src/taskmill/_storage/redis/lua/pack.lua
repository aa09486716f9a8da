-- pack: take out jobs and schedules that are as they were read, or say which jobs are not.
-- needs: clock columns row say ring news line change pipeline deletion

local crate, target, content = ARGV[2], ARGV[3], ARGV[4]
local last_schedule = 5 + 2 * tonumber(ARGV[5])

local function changed_ones()
  local changed = {}
  for i = last_schedule + 1, #ARGV, 2 do
    if call('HGET', BASE .. 'row', ARGV[i]) ~= ARGV[i + 1] then
      changed[#changed + 1] = ARGV[i]
    end
  end
  return changed
end

local function have_schedules_changed()
  local count = (last_schedule - 5) / 2
  for i = 6, last_schedule, 2 do
    if call('HGET', BASE .. 'schedules', ARGV[i]) ~= ARGV[i + 1] then
      return true
    end
  end
  return call('HLEN', BASE .. 'schedules') ~= count
end

local function take_out()
  local found = {}
  for i = last_schedule + 1, #ARGV, 2 do
    found[#found + 1] = row_of(ARGV[i])
  end
  delete_all(found)
  for _, row in ipairs(found) do
    if row[STATE] == QUEUED then
      let_next_through(row)
    end
  end
  call('DEL', BASE .. 'schedules')
  call('HSET', BASE .. 'outgoing', 'crate', crate, 'target', target, 'load', content)
  has_changed = true
end

local function pack()
  if call('EXISTS', BASE .. 'outgoing') == 1 or have_schedules_changed() then
    return '"again"'
  end
  local changed = changed_ones()
  if #changed > 0 then
    return cjson.encode(changed)
  end
  take_out()
  return '"packed"'
end

return finish(pack())
