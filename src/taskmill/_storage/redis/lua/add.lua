-- add: store jobs, all or none.
-- needs: row change insert

return finish(listed(add(cjson.decode(ARGV[2]))))
