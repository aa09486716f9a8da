-- How jobs come into the store: all or none.

local function add(jobs)
  local ids, lanes = {}, {}
  local last = call('INCRBY', BASE .. 'refs', #jobs) - #jobs
  for i, job in ipairs(jobs) do
    local job_id, place, priority, task, key, pipeline, step = unpack(job, 1, 7)
    local delay, run_at, expires_in, max_attempts, ttl, is_locked, text = unpack(job, 8, 14)
    local known = call('ZSCORE', BASE .. 'ids', job_id)
    if not known and key ~= cjson.null then
      known = call('HGET', BASE .. 'keys', task .. '\0' .. key)
    end
    if known then
      ids[i] = id_of(row_of(ref_of(known)))
    else
      last = last + 1
      local ref, row = ref_of(last), { id = job_id }
      for column = STATE, RESULT_TTL do
        row[column] = 0
      end
      row[PLACE], row[REF] = place, ref
      row[STATE] = step == 0 and QUEUED or BLOCKED
      row[LOCKED] = is_locked
      row[PIPED] = pipeline == cjson.null and 0 or 1
      row[KEYED] = key == cjson.null and 0 or 1
      row[PRIORITY], row[MAX_ATTEMPTS], row[STEP], row[RESULT_TTL] = priority, max_attempts, step, ttl
      row[ENQUEUED_AT], row[DELAY] = NOW, delay
      row[RUN_AT] = run_at == cjson.null and NOW + delay or run_at
      row[EXPIRES_AT] = expires_in == cjson.null and 0 or NOW + expires_in
      rows[ref] = row
      touch(row)
      later('HSET', 'call', ref, text)
      call('ZADD', BASE .. 'ids', ref, job_id)
      if row[KEYED] == 1 then
        call('HSET', BASE .. 'keys', task .. '\0' .. key, ref)
      end
      if row[PIPED] == 1 then
        call('ZADD', BASE .. 'steps:' .. pipeline, step, ref)
      end
      if row[EXPIRES_AT] ~= 0 then
        later('ZADD', 'expiring', string.format('%d', row[EXPIRES_AT]), ref)
      end
      if step == 0 then
        local lane = lane_of(row)
        lanes[lane] = true
        later('ZADD', 'lane:' .. lane, string.format('%d', row[RUN_AT]), ref)
      else
        later('ZADD', 'state:' .. BLOCKED, ref, ref)
      end
      later('LPUSH', 'recent', ref)
      count(row, row[STATE], 1)
      ids[i] = job_id
      has_freed, has_changed = true, true
    end
  end
  for lane in pairs(lanes) do
    call('SADD', BASE .. 'lanes', lane)
  end
  return ids
end
