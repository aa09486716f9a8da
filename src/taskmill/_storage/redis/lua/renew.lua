-- renew: push the lease out again.
-- needs: clock columns row say ring news session
-- flags: allow-oom

return is_meant(ARGV[2], ARGV[3]) and renew(ARGV[2]) and 1 or 0
