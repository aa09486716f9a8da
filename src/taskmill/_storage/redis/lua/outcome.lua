-- outcome: what a waiting caller needs of a job.
-- needs: clock columns row
-- flags: no-writes

local row = find(ARGV[2])
if not row then
  return false
end
return { row[STATE], call_of(row)[TASK], call('HGET', BASE .. 'outcome', row[REF]) }
