-- add: store jobs, all or none.
-- needs: row news line insert

return finish(listed(add(cjson.decode(ARGV[2]))))
