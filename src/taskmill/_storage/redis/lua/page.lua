-- page: some jobs, newest first, and where the next page begins ('' behind the last one).
-- needs: clock columns row record
-- flags: no-writes

-- Of all, or of those in one state that has an index.
local source, first, size = ARGV[2], ARGV[3], tonumber(ARGV[4])
local found = call('ZREVRANGEBYSCORE', BASE .. source, first, '-inf', 'WITHSCORES', 'LIMIT', 0, size)
local records = { '' }
for i = 2, #found, 2 do
  local row = row_of(ref_of(found[i]))
  if row then
    add_record(records, row)
  end
  if i == 2 * size then
    records[1] = '(' .. string.format('%d', found[i])
  end
end
return records
