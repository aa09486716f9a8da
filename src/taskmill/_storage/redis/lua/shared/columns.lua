-- What is stored of a job.

-- A row is packed, and its columns are these, in this order; 0 stands for none. rows.py has the same.
local FORMAT = '>BBBBBBBBhI4I4I4I4I4I4I8I8lllllllls'
local STATE, PARKED, SUSPECT, HANDED_ON, CANCELLING, LOCKED, PIPED, KEYED = 1, 2, 3, 4, 5, 6, 7, 8
local PRIORITY, ATTEMPT, MAX_ATTEMPTS, FENCE, RESCUES, CRASHES, STEP = 9, 10, 11, 12, 13, 14, 15
local SESSION, CLAIM = 16, 17
local ENQUEUED_AT, RUN_AT, CLAIMED_AT, STARTED_AT, ENDED_AT, EXPIRES_AT = 18, 19, 20, 21, 22, 23
local DELAY, RESULT_TTL = 24, 25
-- Its executor and its queue, with a blank between them.
local PLACE = 26
-- Behind what is packed: its own name.
local REF = 27

local BLOCKED, QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = 0, 1, 2, 3, 4, 5

-- The columns of a call, which never change.
local JOB_ID, ARGS, HEADERS, KEY, PIPELINE, TASK, QUEUE, EXECUTOR, LOCK, TAGS = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10

-- The name of a row is its number, of so many digits that names stand in the order of numbers.
local function ref_of(number)
  return string.format('%014d', number)
end

-- Lua hands over some thousand arguments at once, and no more.
local MOST = 1000
