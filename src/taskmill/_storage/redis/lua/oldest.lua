-- oldest: jobs in the order of adding, each pipeline as a whole, and where the next page begins ('' behind the last one).
-- needs: clock columns row record
-- flags: no-writes

local first, size = ARGV[2], tonumber(ARGV[3])
local found = call('ZRANGEBYSCORE', BASE .. 'ids', first, '+inf', 'WITHSCORES', 'LIMIT', 0, size)
local records = { '' }

local function add_group(row)
  if row[PIPED] == 0 then
    add_record(records, row)
    return
  end
  local refs = call('ZRANGE', BASE .. 'steps:' .. call_of(row)[PIPELINE], 0, -1)
  if refs[1] == row[REF] then
    for _, ref in ipairs(refs) do
      add_record(records, row_of(ref))
    end
  end
end

for i = 2, #found, 2 do
  local row = row_of(ref_of(found[i]))
  if row then
    add_group(row)
  end
  if i == 2 * size then
    records[1] = '(' .. string.format('%d', found[i])
  end
end
return records
