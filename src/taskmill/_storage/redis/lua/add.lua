-- add: store jobs, all or none.
-- needs: clock columns ring insert

local fresh, known = add(2)
if fresh > 0 then
  ring()
end
if not next(known) then
  return fresh
end
local answer = { fresh }
for i, id in pairs(known) do
  answer[#answer + 1] = i
  answer[#answer + 1] = id
end
return answer
