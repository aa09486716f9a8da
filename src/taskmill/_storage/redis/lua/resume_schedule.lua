-- resume_schedule: take its pause back; what the pause went over is not made up for.
-- needs: clock columns row say ring news schedule
-- flags: allow-oom

local known = schedule_of(ARGV[2])
if known and known[PAUSED_AT] ~= cjson.null then
  known[PAUSED_AT] = cjson.null
  if tonumber(known[LAST_SLOT]) < NOW then
    known[LAST_SLOT] = string.format('%d', NOW)
  end
  keep(known)
end
return finish(tostring(has_changed))
