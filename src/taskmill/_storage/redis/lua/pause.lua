-- pause: let nothing of a queue be claimed.
-- needs: clock columns row say ring news
-- flags: allow-oom

has_changed = call('HSETNX', BASE .. 'paused', ARGV[2], string.format('%d', NOW)) == 1
return finish(tostring(has_changed))
