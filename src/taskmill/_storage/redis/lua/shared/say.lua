-- How many heard a message. It is a hint: a user who may not publish on the channels of the mill does all else, and who
-- waits finds it by looking.
local function say(channel, message)
  local heard = redis.pcall('PUBLISH', channel, message)
  return type(heard) == 'number' and heard or 0
end
