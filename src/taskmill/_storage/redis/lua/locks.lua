-- locks: those that are held, with the job of each and how many wait.
-- needs: clock columns row
-- flags: no-writes

local told = {}
for _, name in ipairs(call('HKEYS', BASE .. 'locks')) do
  local text = call('HGET', BASE .. 'locks', name)
  local ref = cjson.decode(text)[4]
  told[#told + 1] = name
  told[#told + 1] = text
  told[#told + 1] = ref ~= '' and row_of(ref) and id_of(row_of(ref))
  told[#told + 1] = call('ZCARD', BASE .. 'parked:' .. name)
end
return told
