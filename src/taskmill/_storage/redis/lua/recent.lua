-- recent: the jobs that the latest events belong to.
-- needs: clock columns row record
-- flags: no-writes

local seen, records, limit = {}, {}, tonumber(ARGV[2])

local function add_once(ref)
  local row = not seen[ref] and row_of(ref)
  if row then
    seen[ref] = true
    add_record(records, row)
  end
end

for _, ref in ipairs(call('LRANGE', BASE .. 'recent', 0, limit - 1)) do
  add_once(ref)
end
-- That they were enqueued is no event of that list.
local numbers = call('ZREVRANGE', BASE .. 'ids', 0, limit - 1, 'WITHSCORES')
for i = 2, #numbers, 2 do
  add_once(ref_of(numbers[i]))
end
return records
