-- usable from: 1
-- Times are integer microseconds since the epoch, durations integer microseconds.

create table taskmill_meta (
    name text primary key,
    value text not null
) strict, without rowid;

-- One run of one process that may hold jobs or locks. Whether it lives is told by its session file beside the
-- database (liveness.py), not by this row; "parent" is the session of the process that watches it. autoincrement: an
-- id is never reused.
create table taskmill_session (
    id integer primary key autoincrement,
    kind text not null,
    parent integer,
    host text not null,
    pid integer not null,
    process text not null,
    boot text not null,
    lease integer not null check (lease > 0),
    file text not null,
    started_at integer not null,
    -- For people: what it takes, as queues (null: all), executors and tasks; null where it runs no jobs.
    serves text,
    is_asked_to_stop integer not null default 0 check (is_asked_to_stop in (0, 1))
) strict;

-- Sessions that were asked to stop and taken for dead: one that only stood still finds here that it was asked.
create table taskmill_wish (
    session integer primary key
) strict;

-- The checks spell out what "in (...)" would say: SQLite builds a table of the list at every change of a row, which
-- took a third of the time of a claim and a settlement.
-- The id is the row's number, which may be used again once a job was deleted; job_id is its name for good. (With
-- autoincrement each enqueue would write one page more.)
create table taskmill_job (
    id integer primary key,
    job_id text not null unique,
    state text not null check (
        state = 'queued' or state = 'running' or state = 'succeeded' or state = 'failed' or state = 'cancelled'
        or state = 'blocked'
    ),
    queue text not null,
    -- A suspect's is 'alone', so that who wants others does not claim it, and 'elsewhere:' with its task is that of one
    -- which a worker handed on; own_executor is what it goes back to.
    executor text not null,
    own_executor text,
    priority integer not null check (priority between -100 and 100),
    run_at integer not null,
    attempt integer not null default 0 check (attempt >= 0),
    max_attempts integer not null check (max_attempts >= 1),
    fence integer not null default 0 check (fence >= attempt),
    session integer,
    claim integer,
    rescues integer not null default 0,
    crashes integer not null default 0,
    cancel_requested integer not null default 0 check (cancel_requested in (0, 1)),
    task text not null,
    enqueued_at integer not null,
    claimed_at integer,
    started_at integer,
    ended_at integer,
    kept_for integer,
    expires_at integer,
    delay integer not null check (delay >= 0),
    result_ttl integer not null check (result_ttl >= 0),
    lock text,
    waits_for text,
    key text,
    tags text,
    headers text,
    pipeline text,
    step integer not null check (step >= 0),
    -- Longer payloads lie in taskmill_payload, so that a change of state does not rewrite them.
    args text,
    result text,
    error text,
    reason text,
    check (state <> 'running' or (session is not null and claim is not null and attempt >= 1)),
    check ((state = 'succeeded' or state = 'failed' or state = 'cancelled') = (ended_at is not null)),
    check ((ended_at is null) = (kept_for is null)),
    check (state <> 'blocked' or step > 0),
    check (step = 0 or pipeline is not null),
    check ((executor = 'alone' or executor = 'elsewhere:' || task) = (own_executor is not null)),
    check (waits_for is null or (state = 'queued' and waits_for is lock))
) strict;

-- A lane is what shares queue, executor and priority; inside it, the claim reads in this order. Without the lanes
-- first, due jobs would be searched among future ones of a higher priority.
create index taskmill_job_claim on taskmill_job (queue, executor, priority, run_at, id)
    where state = 'queued' and waits_for is null;
create index taskmill_job_claim_locked on taskmill_job (queue, executor, priority, run_at, id)
    where state = 'queued' and waits_for is null and lock is not null;
create index taskmill_job_running on taskmill_job (session, claim) where state = 'running';
create index taskmill_job_waiter on taskmill_job (waits_for, priority desc, run_at, id)
    where waits_for is not null;
create index taskmill_job_expiry on taskmill_job (expires_at)
    where expires_at is not null and ended_at is null and state <> 'running';
create unique index taskmill_job_key on taskmill_job (task, key) where key is not null;
create unique index taskmill_job_pipeline on taskmill_job (pipeline, step) where pipeline is not null;
-- Serves pruning (per kept_for, the oldest first) and the latest events (per kept_for, the newest first).
create index taskmill_job_ended on taskmill_job (kept_for, ended_at) where ended_at is not null;

create table taskmill_payload (
    job integer not null,
    kind text not null check (kind in ('args', 'result')),
    data text not null,
    primary key (job, kind)
) strict;

-- The attempts that did not end their job; the last one lies in the job's row.
create table taskmill_attempt (
    id integer primary key,
    job integer not null,
    number integer not null,
    outcome text not null,
    started_at integer,
    ended_at integer not null,
    error text,
    session integer
) strict;
create index taskmill_attempt_job on taskmill_attempt (job, id);

-- What jobs said of themselves while they ran, on numbered sheets; see _core/journal.py.
create table taskmill_sheet (
    job integer not null,
    fence integer not null,
    number integer not null,
    attempt integer not null,
    text text not null,
    primary key (job, fence, number)
) strict, without rowid;

-- autoincrement: the id is the lock's fencing token, which only ever grows.
create table taskmill_lock (
    id integer primary key autoincrement,
    name text not null unique,
    session integer not null,
    job integer unique,
    since integer not null
) strict;
create index taskmill_lock_session on taskmill_lock (session);

-- Queues of which nothing is claimed.
create table taskmill_pause (
    queue text primary key,
    since integer not null
) strict, without rowid;

-- How many attempts came to what in which minute; see _core/tally.py.
create table taskmill_tally (
    minute integer not null,
    task text not null,
    event text not null,
    bucket integer not null,
    number integer not null,
    primary key (minute, task, event, bucket)
) strict, without rowid;

-- What was done by hand; see _core/deed.py. Only the oldest are deleted, so the ids grow, and have no gaps.
create table taskmill_deed (
    id integer primary key,
    deed_id text not null unique,
    at integer not null,
    who text not null,
    origin text not null,
    what text not null,
    subject text not null,
    number integer not null
) strict;

-- What was taken out of this store for another one, until it is known to be there.
create table taskmill_outgoing (
    crate text primary key,
    target text not null,
    load text not null
) strict, without rowid;

-- The crates of other stores that were unpacked here.
create table taskmill_unpacked (
    crate text primary key
) strict, without rowid;

create table taskmill_schedule (
    name text primary key,
    task text not null,
    spec text not null,
    last_slot integer not null,
    fired integer not null default 0,
    skipped integer not null default 0,
    last_job text,
    paused_at integer
) strict, without rowid;
