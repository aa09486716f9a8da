-- release: free a lock that no job holds.
-- needs: clock columns row say ring news line lock session
-- flags: allow-oom

local name, session, word, token = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local function release()
  local lock = lock_of(name)
  local is_held = lock and lock[HOLDER] == tonumber(session) and lock[TOKEN] == tonumber(token) and lock[OF_ROW] == ''
  if not is_held or not is_meant(session, word) then
    return false
  end
  free(name)
  return true
end

return finish(tostring(release()))
