-- register: make a schedule known.
-- needs: clock columns row say ring news schedule
-- flags: allow-oom

local name, task, spec = ARGV[2], ARGV[3], ARGV[4]
local known = schedule_of(name)
local fresh = known or { name, task, spec, string.format('%d', NOW), 0, 0, cjson.null, cjson.null }
if fresh[SPEC] ~= spec then
  fresh[LAST_SLOT] = string.format('%d', NOW)
end
if not known or fresh[TASK_OF] ~= task or fresh[SPEC] ~= spec then
  fresh[TASK_OF], fresh[SPEC] = task, spec
  keep(fresh)
end
return finish(cjson.encode(fresh))
