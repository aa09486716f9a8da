-- Sessions and their leases.

-- Columns of a session, which never change, as JSON; sessions.py has the same. Its word is known to its own process.
local WORD, LEASE, BOOT, PROCESS, PARENT, STARTED = 1, 2, 3, 4, 5, 6

-- The clock of a server can be set, and for a while nobody may have been able to renew: how far it went while nobody
-- looked counts against no lease, once. Whoever rescues looks four times a second, and says so once in it.
local UNWATCHED, SAID = 3000000, 1000000

local function watch_leases()
  if ARGV[1] ~= '' then
    return
  end
  local seen = tonumber(call('GET', BASE .. 'watched') or 0)
  local gap = NOW - seen
  if gap >= 0 and gap < SAID then
    return
  end
  call('SET', BASE .. 'watched', string.format('%d', NOW))
  if seen == 0 or gap >= 0 and gap < UNWATCHED then
    return
  end
  for _, session in ipairs(call('ZRANGE', BASE .. 'leases', 0, -1)) do
    if call('SADD', BASE .. 'extended', session) == 1 then
      call('ZINCRBY', BASE .. 'leases', string.format('%d', gap), session)
    end
  end
end

local function session_of(session)
  local text = call('HGET', BASE .. 'sessions', session)
  return text and cjson.decode(text)
end

local function renew(session)
  local known = session_of(session)
  if not known then
    return false
  end
  call('ZADD', BASE .. 'leases', string.format('%d', STEADY + known[LEASE]), session)
  call('SREM', BASE .. 'extended', session)
  return true
end

local function is_dead(session)
  local until_ = call('ZSCORE', BASE .. 'leases', session)
  return not until_ or tonumber(until_) < STEADY
end

-- Whether it is the session that the caller means: numbers begin anew in a server that lost what it had.
local function is_meant(session, word)
  local known = session_of(session)
  return not known or word == '' or known[WORD] == word
end

-- Of so many sessions that were rescued it is remembered that they were asked to stop, as WISHES has it.
local KEPT_WISHES = 10000

local function keep_wish(session)
  if call('SREM', BASE .. 'asked-to-stop', session) == 1 then
    call('ZADD', BASE .. 'wishes', session, session)
    call('ZREMRANGEBYSCORE', BASE .. 'wishes', '-inf', tonumber(session) - KEPT_WISHES)
  end
end

local function forget(session)
  local known = session_of(session)
  if known then
    call('HDEL', BASE .. 'sessions', session)
    call('HDEL', BASE .. 'on:' .. known[BOOT], session)
    call('HDEL', BASE .. 'claims', session)
    call('ZREM', BASE .. 'leases', session)
    call('SREM', BASE .. 'extended', session)
    call('SREM', BASE .. 'asked-to-stop', session)
    has_changed = true
  end
end
