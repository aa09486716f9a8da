-- bury: end the session of a process that crashed.
-- needs: clock columns row say ring news line change pipeline lock settle session
-- flags: allow-oom

local session = ARGV[2]

-- Each: ref, fence and, where it ran alone, what follows; see jobs.py.
for _, one in ipairs(cjson.decode(ARGV[3])) do
  local row = row_of(ref_of(one[1]))
  if row and row[STATE] == RUNNING and row[SESSION] == tonumber(session) and row[FENCE] == one[2] then
    if one[3] then
      row[STARTED_AT] = row[CLAIMED_AT]
      settle_as(row, one[3])
      if row[STATE] ~= CANCELLED then
        note(one[3].event, row, one[3].reason)
      end
    else
      row[SUSPECT] = 1
      touch(row)
    end
  end
end
take_back(session, 'rescued')
forget(session)
return finish('null')
