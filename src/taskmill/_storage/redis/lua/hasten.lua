-- hasten: let a queued job that is to run later run now.
-- needs: clock columns row say ring news line
-- flags: allow-oom

local function hasten(job_id)
  local row = find(job_id)
  if not row or row[STATE] ~= QUEUED or row[RUN_AT] <= NOW then
    return false
  end
  leave(row)
  row[RUN_AT] = NOW
  if row[PARKED] == 1 then
    park(row, call_of(row)[LOCK])
  else
    enter(row)
  end
  touch(row)
  has_freed, has_changed = true, true
  return true
end

return finish(tostring(hasten(ARGV[2])))
