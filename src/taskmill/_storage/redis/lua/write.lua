-- write: keep what jobs say of themselves under claims that hold.
-- needs: clock columns row say ring news
-- flags: allow-oom

local session, kept, writings = tonumber(ARGV[2]), tonumber(ARGV[3]), cjson.decode(ARGV[4])
local FENCE_OF, SHEETS, TORN = 2, 3, 4

local function forget(journal, oldest)
  for _, place in ipairs(call('HKEYS', journal)) do
    if tonumber(string.match(place, '^%d+')) < oldest then
      call('HDEL', journal, place)
    end
  end
end

for _, writing in ipairs(writings) do
  local row, fence = find(writing[1]), writing[FENCE_OF]
  if row and row[STATE] == RUNNING and row[SESSION] == session and row[FENCE] == fence then
    local journal = BASE .. 'journal:' .. row[REF]
    for _, sheet in ipairs(writing[SHEETS]) do
      call('HSET', journal, string.format('%d %d', fence, sheet[1]), row[ATTEMPT] .. ' ' .. sheet[2])
    end
    for _, number in ipairs(writing[TORN]) do
      call('HDEL', journal, string.format('%d %d', fence, number))
    end
    if fence > kept then
      forget(journal, fence - kept + 1)
    end
    has_changed = true
  end
end
return finish('null')
