-- forget: let go of the crate of that id.
-- needs: clock columns row say ring news
-- flags: allow-oom

if call('HGET', BASE .. 'outgoing', 'crate') == ARGV[2] then
  call('DEL', BASE .. 'outgoing')
  has_changed = true
end
return finish('true')
