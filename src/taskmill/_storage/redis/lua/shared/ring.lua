-- Rings one process that rests and has room for any job or, where there is none, all that have some; it is told the version
-- of the store, so that it need not ask.
local function ring()
  if call('EXISTS', BASE .. 'resting:all', BASE .. 'resting:some') == 0 then
    return
  end
  local version = call('GET', BASE .. 'version')
  local bell = call('SPOP', BASE .. 'resting:all')
  while bell do
    if say(bell, version) > 0 then
      return
    end
    bell = call('SPOP', BASE .. 'resting:all')
  end
  for _, each in ipairs(call('SMEMBERS', BASE .. 'resting:some')) do
    say(each, version)
  end
  call('DEL', BASE .. 'resting:some')
end
