-- job: everything that is stored of a job.
-- needs: clock columns row record
-- flags: no-writes

local row, records = find(ARGV[2]), {}
if row then
  add_record(records, row)
end
return records
