-- identity: what tells this store from all others; the given one, if it has none.
-- needs: clock columns row say ring news

has_changed = call('SETNX', BASE .. 'identity', ARGV[2]) == 1
return finish(cjson.encode(call('GET', BASE .. 'identity')))
