-- pause_schedule: let no slot of a schedule fire.
-- needs: clock columns row say ring news schedule
-- flags: allow-oom

local known = schedule_of(ARGV[2])
if known and known[PAUSED_AT] == cjson.null then
  known[PAUSED_AT] = string.format('%d', NOW)
  keep(known)
end
return finish(tostring(has_changed))
