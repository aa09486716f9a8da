-- unwanted: the running jobs of a session whose cancel was requested.
-- needs: clock columns row
-- flags: no-writes

local found = {}
for _, ref in ipairs(call('SMEMBERS', BASE .. 'cancelling')) do
  local row = row_of(ref)
  if row[SESSION] == tonumber(ARGV[2]) then
    found[#found + 1] = { id_of(row), row[FENCE] }
  end
end
return listed(found)
