-- acquire: take a lock for a session.
-- needs: clock columns row say ring news line lock session
-- flags: allow-oom

watch_leases()
local name, session, word, once = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local function acquire()
  if is_dead(session) or not is_meant(session, word) then
    return 'null'
  end
  local lock = lock_of(name)
  if lock and lock[ONCE] == once then
    -- The reply to this very call was lost.
    return string.format('%d', lock[TOKEN])
  end
  if lock and not is_dead(string.format('%d', lock[HOLDER])) then
    return 'null'
  end
  return string.format('%d', take_lock(name, tonumber(session), '', once))
end

return finish(acquire())
