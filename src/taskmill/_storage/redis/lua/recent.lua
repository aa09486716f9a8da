-- recent: the jobs that the latest events belong to.
-- needs: row record
-- flags: no-writes

local seen, records = {}, {}
for _, ref in ipairs(call('LRANGE', BASE .. 'recent', 0, tonumber(ARGV[2]) - 1)) do
  local row = not seen[ref] and row_of(ref)
  if row then
    seen[ref] = true
    add_record(records, row)
  end
end
return records
