-- fire: account for slots of a schedule, and store the job of the last one.
-- needs: row news line insert schedule

local name, after, slot, skipped = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

local function fire(jobs)
  local known = schedule_of(name)
  if not known or known[LAST_SLOT] ~= after or tonumber(slot) <= tonumber(after) then
    return false
  end
  known[LAST_SLOT] = slot
  known[SKIPPED] = known[SKIPPED] + skipped
  if #jobs > 0 then
    known[FIRED] = known[FIRED] + 1
    known[LAST_JOB] = add(jobs)[1]
  end
  keep(known)
  return true
end

return finish(tostring(fire(cjson.decode(ARGV[6]))))
