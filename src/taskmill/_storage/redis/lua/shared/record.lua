-- Jobs as they are stored, for rows.py to read: name, row, call, outcome and history of each.

local function add_record(records, row)
  records[#records + 1] = row[REF]
  for _, name in ipairs({ 'row', 'call', 'outcome', 'history' }) do
    records[#records + 1] = call('HGET', BASE .. name, row[REF])
  end
end
