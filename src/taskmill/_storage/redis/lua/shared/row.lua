-- What every operation on jobs begins with: the rows, read once and written once.

local BASE, call = KEYS[1], redis.call

-- The store's own clock, unless the client was given one: the instant, and what leases are counted by.
local NOW, STEADY
if ARGV[1] == '' then
  local time = call('TIME')
  NOW = time[1] * 1000000 + time[2]
  STEADY = NOW
else
  NOW, STEADY = string.match(ARGV[1], '(%-?%d+) (%-?%d+)')
  NOW, STEADY = tonumber(NOW), tonumber(STEADY)
end

-- A row is packed, and its columns are these, in this order; 0 stands for none. rows.py has the same.
local FORMAT = '>BBBBBBBBhI4I4I4I4I4I4I8I8lllllllls'
local STATE, PARKED, SUSPECT, HANDED_ON, CANCELLING, LOCKED, PIPED, KEYED = 1, 2, 3, 4, 5, 6, 7, 8
local PRIORITY, ATTEMPT, MAX_ATTEMPTS, FENCE, RESCUES, CRASHES, STEP = 9, 10, 11, 12, 13, 14, 15
local SESSION, CLAIM = 16, 17
local ENQUEUED_AT, RUN_AT, CLAIMED_AT, STARTED_AT, ENDED_AT, EXPIRES_AT = 18, 19, 20, 21, 22, 23
local DELAY, RESULT_TTL = 24, 25
-- Its executor and its queue, with a blank between them.
local PLACE = 26
-- Behind what is packed: its own name.
local REF = 27

local BLOCKED, QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = 0, 1, 2, 3, 4, 5

-- The columns of a call, which never change.
local JOB_ID, TASK, QUEUE, EXECUTOR, HEADERS, ARGS, LOCK, KEY, PIPELINE = 1, 2, 3, 4, 5, 6, 7, 8, 9

-- Lua hands over some thousand arguments at once, and no more.
local MOST = 1000

local function in_parts(list, use)
  for first = 1, #list, MOST do
    use(unpack(list, first, math.min(first + MOST - 1, #list)))
  end
end

-- --- what is written at the end, many in one command

local pending, by_name = {}, {}

-- The list of what that command will be given; each use of a key until the next `flush` is by one command.
local function later(command, name)
  local list = by_name[name]
  if not list then
    list = { command = command, name = name }
    by_name[name], pending[#pending + 1] = list, list
  end
  return list
end

local rows, touched = {}, {}

local function touch(row)
  if not row.is_touched then
    row.is_touched = true
    touched[#touched + 1] = row
  end
end

local function flush()
  local fields, n = {}, 0
  for _, row in ipairs(touched) do
    row.is_touched = nil
    if not row.is_gone then
      fields[n + 1], fields[n + 2] = row[REF], struct.pack(FORMAT, unpack(row, 1, PLACE))
      n = n + 2
    end
  end
  touched = {}
  in_parts(fields, function(...)
    call('HSET', BASE .. 'row', ...)
  end)
  for _, list in ipairs(pending) do
    in_parts(list, function(...)
      call(list.command, BASE .. list.name, ...)
    end)
  end
  pending, by_name = {}, {}
end

-- --- reading

local function unpacked(ref, text)
  local row = { struct.unpack(FORMAT, text) }
  row[REF] = ref
  return row
end

local function fetch(refs)
  local missing = {}
  for _, ref in ipairs(refs) do
    if rows[ref] == nil then
      missing[#missing + 1] = ref
      rows[ref] = false
    end
  end
  in_parts(missing, function(...)
    local wanted = { ... }
    for i, text in ipairs(call('HMGET', BASE .. 'row', ...)) do
      rows[wanted[i]] = text and unpacked(wanted[i], text)
    end
  end)
end

-- The row of that name, or false.
local function row_of(ref)
  if rows[ref] == nil then
    fetch({ ref })
  end
  return rows[ref]
end

-- The name of a row is its number, of so many digits that names stand in the order of numbers.
local function ref_of(number)
  return string.format('%014d', number)
end

local function find(job_id)
  local number = call('ZSCORE', BASE .. 'ids', job_id)
  return number and row_of(ref_of(number))
end

local function call_of(row)
  if not row.call then
    row.call = cjson.decode(call('HGET', BASE .. 'call', row[REF]))
  end
  return row.call
end

local function id_of(row)
  return row.id or call_of(row)[JOB_ID]
end

local queues = {}

local function queue_of(row)
  local place = row[PLACE]
  local queue = queues[place]
  if not queue then
    queue = string.match(place, ' (.*)')
    queues[place] = queue
  end
  return queue
end

local function is_final(row)
  return row[STATE] >= SUCCEEDED
end

local function is_waiting(row)
  return row[STATE] <= QUEUED
end

-- An array as JSON: an empty one is '[]', as cjson cannot know.
local function listed(list)
  return #list == 0 and '[]' or cjson.encode(list)
end

local function joined(list)
  return '[' .. table.concat(list, ',') .. ']'
end
