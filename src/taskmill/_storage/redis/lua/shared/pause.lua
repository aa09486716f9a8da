-- Queues that are paused: nothing of them is claimed.

local function paused_queues()
  local found = {}
  for _, queue in ipairs(call('HKEYS', BASE .. 'paused')) do
    found[queue] = true
  end
  return found
end
