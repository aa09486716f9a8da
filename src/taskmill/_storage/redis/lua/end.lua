-- end: what the session still holds goes back at once.
-- needs: clock columns row say ring news line change pipeline lock settle session
-- flags: allow-oom

if is_meant(ARGV[2], ARGV[3]) then
  take_back(ARGV[2], 'released')
  forget(ARGV[2])
end
return finish('null')
