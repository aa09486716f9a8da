-- cancel: cancel a waiting job with the later steps of its pipeline, or ask a running one to stop.
-- needs: clock columns row say ring news line change pipeline
-- flags: allow-oom

local function revoke(job_id)
  local row = find(job_id)
  if not row then
    return 'missing'
  elseif is_final(row) then
    return 'ended'
  elseif row[STATE] == RUNNING then
    row[CANCELLING] = 1
    touch(row)
    call('SADD', BASE .. 'cancelling', row[REF])
    has_changed = true
    return 'requested'
  end
  cancel(row, REVOKED)
  let_next_through(row)
  return 'cancelled'
end

return finish(cjson.encode(revoke(ARGV[2])))
