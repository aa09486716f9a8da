-- delete: delete jobs, one after the other, by the rules of purge.
-- needs: clock columns row say ring news line change pipeline deletion
-- flags: allow-oom

for _, job_id in ipairs(cjson.decode(ARGV[2])) do
  local row = find(job_id)
  if row and is_waiting(row) then
    delete_waiting({ row })
  elseif row and is_final(row) and not is_needed(row) then
    delete_all({ row })
  end
end
return finish(tostring(#ended))
