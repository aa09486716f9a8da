-- fire: account for slots of a schedule, and store the job of the last one.
-- needs: clock columns row say ring news insert schedule

local name, after, slot, skipped = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

local function fire()
  local known = schedule_of(name)
  if not known or known[PAUSED_AT] ~= cjson.null or known[LAST_SLOT] ~= after or tonumber(slot) <= tonumber(after) then
    return false
  end
  known[LAST_SLOT] = slot
  known[SKIPPED] = known[SKIPPED] + skipped
  if ARGV[6] then
    local fresh, ids = add(6)
    has_freed = fresh > 0
    known[FIRED] = known[FIRED] + 1
    known[LAST_JOB] = ids[1] or ARGV[6]
  end
  keep(known)
  return true
end

return finish(tostring(fire()))
