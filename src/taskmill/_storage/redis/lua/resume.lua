-- resume: take a pause back.
-- needs: clock columns row say ring news
-- flags: allow-oom

has_changed = call('HDEL', BASE .. 'paused', ARGV[2]) == 1
has_freed = has_changed
return finish(tostring(has_changed))
