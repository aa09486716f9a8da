-- prune: delete ended jobs whose time to be kept is over.
-- needs: clock columns row say ring news line change pipeline deletion
-- flags: allow-oom

local function outlived(limit)
  local found = {}
  for _, queue in ipairs(known_queues()) do
    look_through_ended(queue, string.format('%d', NOW), function(row)
      if #found < limit and not is_needed(row) then
        found[#found + 1] = row
      end
      return #found < limit
    end)
  end
  return found
end

local gone = outlived(tonumber(ARGV[2]))
delete_all(gone)
return finish(tostring(#ended))
