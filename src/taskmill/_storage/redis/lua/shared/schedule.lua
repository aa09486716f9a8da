-- Schedules; instants as text, which cjson would round otherwise.

local NAME, TASK_OF, SPEC, LAST_SLOT, FIRED, SKIPPED, LAST_JOB, PAUSED_AT = 1, 2, 3, 4, 5, 6, 7, 8

local function schedule_of(name)
  local text = call('HGET', BASE .. 'schedules', name)
  return text and cjson.decode(text)
end

local function keep(schedule)
  call('HSET', BASE .. 'schedules', schedule[NAME], cjson.encode(schedule))
  has_changed = true
end
