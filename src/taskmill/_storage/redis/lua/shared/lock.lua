-- Named locks: who holds one, and what follows when it is freed.

-- Token, session, since, row ('' of a caller) and the caller's word for the call, as JSON.
local TOKEN, HOLDER, SINCE, OF_ROW, ONCE = 1, 2, 3, 4, 5

local function lock_of(name)
  local text = call('HGET', BASE .. 'locks', name)
  return text and cjson.decode(text)
end

local function take_lock(name, session, ref, once)
  local token = call('INCR', BASE .. 'tokens')
  local lock = string.format('[%d,%d,%d,', token, session, NOW) .. cjson.encode(ref) .. ',' .. cjson.encode(once) .. ']'
  call('HSET', BASE .. 'locks', name, lock)
  has_changed = true
  return token
end

local function free(name)
  call('HDEL', BASE .. 'locks', name)
  has_changed = true
  let_through(name)
end

-- It may have lost its lock: that of a dead session is free for whoever asks.
local function free_lock_of(row)
  if row[LOCKED] == 1 then
    local name = call_of(row)[LOCK]
    local lock = lock_of(name)
    if lock and lock[OF_ROW] == row[REF] then
      free(name)
    end
  end
end
