-- Jobs as they are stored, for rows.py to read: name, row, call, outcome, history and progress of each.

local function add_record(records, row)
  records[#records + 1] = row[REF]
  for _, name in ipairs({ 'row', 'call', 'outcome', 'history' }) do
    records[#records + 1] = call('HGET', BASE .. name, row[REF])
  end
  local has_begun = row[STATE] >= RUNNING
  records[#records + 1] = has_begun and call('HGET', BASE .. 'journal:' .. row[REF], row[FENCE] .. ' 0')
end
