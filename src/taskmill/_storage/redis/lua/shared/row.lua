-- Rows: read once by each operation, and written once.

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

-- By name: rows as they are stored, and those that were unpacked; false where there is none.
local texts, rows = {}, {}
local rewritten, touched = {}, {}

-- The row has that text now; it is one that was not unpacked.
local function rewrite(ref, text)
  local n = #rewritten
  rewritten[n + 1], rewritten[n + 2] = ref, text
  texts[ref] = text
end

-- Written as it is then: to be touched twice does no harm.
local function touch(row)
  touched[#touched + 1] = row
end

local function flush()
  for _, row in ipairs(touched) do
    if not row.is_gone then
      rewrite(row[REF], struct.pack(FORMAT, unpack(row, 1, PLACE)))
    end
  end
  in_parts(rewritten, function(...)
    call('HSET', BASE .. 'row', ...)
  end)
  rewritten, touched = {}, {}
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
    if texts[ref] == nil then
      missing[#missing + 1] = ref
      texts[ref] = false
    end
  end
  local n = 0
  in_parts(missing, function(...)
    for i, text in ipairs(call('HMGET', BASE .. 'row', ...)) do
      texts[missing[n + i]] = text
    end
    n = n + MOST
  end)
end

-- The row of that name, or false.
local function row_of(ref)
  if rows[ref] == nil then
    fetch({ ref })
    rows[ref] = texts[ref] and unpacked(ref, texts[ref])
  end
  return rows[ref]
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

local queues, executors = {}, {}

local function queue_in(place)
  local queue = queues[place]
  if not queue then
    executors[place], queue = string.match(place, '^(%a+) (.*)$')
    queues[place] = queue
  end
  return queue
end

local function queue_of(row)
  return queue_in(row[PLACE])
end

-- For what it was enqueued.
local function executor_of(row)
  return executors[row[PLACE]] or queue_of(row) and executors[row[PLACE]]
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
