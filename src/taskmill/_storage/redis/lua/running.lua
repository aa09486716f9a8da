-- running: the jobs that sessions hold, newest first; at most so many.
-- needs: clock columns row record
-- flags: no-writes

local held, records = {}, {}
for _, session in ipairs(call('HKEYS', BASE .. 'sessions')) do
  for _, ref in ipairs(call('SMEMBERS', BASE .. 'held:' .. session)) do
    held[#held + 1] = ref
  end
end
table.sort(held)
for i = #held, math.max(1, #held - tonumber(ARGV[2]) + 1), -1 do
  add_record(records, row_of(held[i]))
end
return records
