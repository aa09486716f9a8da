-- ask_to_stop: ask the process of a session to come to an end.
-- needs: clock columns row say ring news session
-- flags: allow-oom

has_changed = session_of(ARGV[2]) and call('SADD', BASE .. 'asked-to-stop', ARGV[2]) == 1 or false
return finish(tostring(has_changed))
