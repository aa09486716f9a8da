-- is_asked_to_stop: whether a session was asked to stop, also one that was rescued since.
-- needs: clock
-- flags: no-writes

local is_asked = call('SISMEMBER', BASE .. 'asked-to-stop', ARGV[2]) == 1 or call('ZSCORE', BASE .. 'wishes', ARGV[2])
return is_asked and 1 or 0
