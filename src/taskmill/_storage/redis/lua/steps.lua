-- steps: the jobs of a pipeline, by step.
-- needs: clock columns row record
-- flags: no-writes

local records = {}
for _, ref in ipairs(call('ZRANGE', BASE .. 'steps:' .. ARGV[2], 0, -1)) do
  add_record(records, row_of(ref))
end
return records
