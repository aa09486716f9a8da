-- usable from: 1
-- Times are integer microseconds since the epoch, durations integer microseconds. Names are compared byte by byte
-- (collate "C"), so that they have the same order in every database.

create table taskmill.meta (
    name text primary key,
    value text not null
);

-- One run of one process that may hold jobs or locks; it lives while its lease has not run out. Who runs on the same
-- host (boot) can tell sooner that its process is gone. "slots" is the file there that says what it runs.
create table taskmill.session (
    id bigint generated always as identity primary key,
    kind text not null,
    parent bigint,
    host text not null,
    pid integer not null,
    process text not null,
    boot text not null,
    slots text not null,
    lease bigint not null check (lease > 0),
    leased_until bigint not null,
    started_at bigint not null,
    -- For people: what it takes, as queues (null: all), executors and tasks; null where it runs no jobs.
    serves text,
    is_asked_to_stop boolean not null default false
);

-- Sessions that were asked to stop and taken for dead: one that only stood still finds here that it was asked.
create table taskmill.wish (
    session bigint primary key
);

-- What shares queue, executor and priority; they are few, and stay. A suspect's executor is 'alone', so that who wants
-- others does not claim it, and 'elsewhere:' with its task is that of one which a worker handed on.
create table taskmill.lane (
    id integer generated always as identity primary key,
    queue text collate "C" not null,
    executor text collate "C" not null,
    priority smallint not null check (priority between -100 and 100),
    unique (queue, executor, priority)
);

-- What a claim and a settlement change is in no index, so that they write one new version of the row into the same page
-- and nothing else; the pages have room for that. Where jobs are found by what changes, a small table does for an index:
-- waiting, expiry, claim and ended below. All writes go through functions of this schema; what rows must be is in
-- verification.sql, because as checks it took half the time of adding a job.
create table taskmill.job (
    -- First what is always there and as long: what stands behind that is found by going through the row.
    id bigint generated always as identity primary key,
    run_at bigint not null,
    fence bigint not null default 0,
    enqueued_at bigint not null,
    delay bigint not null,
    result_ttl bigint not null,
    lane integer not null,
    attempt integer not null default 0,
    max_attempts integer not null,
    rescues integer not null default 0,
    crashes integer not null default 0,
    step integer not null,
    cancel_requested boolean not null default false,
    job_id text collate "C" not null unique,
    state text not null,
    task text collate "C" not null,
    args text not null,
    session bigint,
    claim bigint,
    claimed_at bigint,
    started_at bigint,
    ended_at bigint,
    kept_for bigint,
    expires_at bigint,
    -- What a suspect, or one that was handed on, goes back to; null of all others.
    own_executor text,
    lock text collate "C",
    waits_for text collate "C",
    key text,
    tags text,
    headers text,
    pipeline text collate "C",
    result text,
    error text,
    reason text
) with (fillfactor = 40);

create index job_waiter on taskmill.job (waits_for) where waits_for is not null;
create unique index job_key on taskmill.job (task, key) where key is not null;
create unique index job_pipeline on taskmill.job (pipeline, step) where pipeline is not null;

-- The queued jobs that wait for no lock, in the order in which a claim reads them.
create table taskmill.waiting (
    lane integer not null,
    run_at bigint not null,
    job bigint not null,
    has_lock boolean not null,
    primary key (lane, run_at, job)
);
create index waiting_locked on taskmill.waiting (lane) where has_lock;

-- The jobs with a time to be started, until they end.
create table taskmill.expiry (
    expires_at bigint not null,
    job bigint not null,
    primary key (expires_at, job)
);

-- What a session claimed, a row for each turn, as long as it holds any of it; how many of these.
create table taskmill.claim (
    session bigint not null,
    number bigint not null,
    held integer not null,
    jobs bigint[] not null
);
create unique index claim_session on taskmill.claim (session, number);

-- What ended, a row for what ended in one turn and is kept as long: for pruning, and for the latest events. A job that was
-- retried since, or deleted, is still named.
create table taskmill.ended (
    kept_for bigint not null,
    ended_at bigint not null,
    jobs bigint[] not null
);
-- To compress such numbers takes longer than to write them.
alter table taskmill.claim alter jobs set storage external;
alter table taskmill.ended alter jobs set storage external;
create index ended_order on taskmill.ended (kept_for, ended_at);

-- The attempts that did not end their job; the last one lies in the job's row.
create table taskmill.attempt (
    id bigint generated always as identity primary key,
    job bigint not null,
    number integer not null,
    outcome text not null,
    started_at bigint,
    ended_at bigint not null,
    error text,
    session bigint
);
create index attempt_job on taskmill.attempt (job, id);

-- What jobs said of themselves while they ran, on numbered sheets; see _core/journal.py.
create table taskmill.sheet (
    job bigint not null,
    fence bigint not null,
    number integer not null,
    attempt integer not null,
    text text not null,
    primary key (job, fence, number)
);

-- The token only ever grows, so that it can fence writes to outside resources. "request" is the client's own number of
-- its request, so that one whose reply was lost finds that it has the lock.
create table taskmill.lock (
    token bigint generated always as identity primary key,
    name text collate "C" not null unique,
    session bigint not null,
    job bigint unique,
    since bigint not null,
    request text
);
create index lock_session on taskmill.lock (session);

-- Queues of which nothing is claimed.
create table taskmill.pause (
    queue text collate "C" primary key,
    since bigint not null
);

-- How many attempts came to what in which minute; see _core/tally.py.
create table taskmill.tally (
    minute bigint not null,
    task text collate "C" not null,
    event text collate "C" not null,
    bucket smallint not null,
    number bigint not null,
    primary key (minute, task, event, bucket)
);

-- What was done by hand; see _core/deed.py.
create table taskmill.deed (
    id bigint generated always as identity primary key,
    deed_id text not null unique,
    at bigint not null,
    who text not null,
    origin text not null,
    what text not null,
    subject text not null,
    number bigint not null
);

-- What was taken out of this store for another one, until it is known to be there.
create table taskmill.outgoing (
    crate text primary key,
    target text not null,
    load text not null
);

-- The crates of other stores that were unpacked here.
create table taskmill.unpacked (
    crate text primary key
);

create table taskmill.schedule (
    name text collate "C" primary key,
    task text not null,
    spec text not null,
    last_slot bigint not null,
    fired bigint not null default 0,
    skipped bigint not null default 0,
    last_job text,
    paused_at bigint
);

-- The processes that can be notified: what their resting workers have room for (0 nothing, 1 some jobs, 2 any), and
-- whether somebody in them waits for a result. No truth: what a crash of the server takes with it is made anew.
create unlogged table taskmill.listener (
    id bigint primary key,
    room smallint not null default 0,
    waits boolean not null default false
);

-- What an operation has done besides what it was asked for, and whom it concerns: jobs that ended for those who wait for
-- them, by their numbers settlements that changed nothing, whether jobs may have become claimable, and whether anything
-- was changed at all.
create type taskmill.notice as (kind text, job_id text, reason text);
create type taskmill.news as (notices taskmill.notice[], ended text[], stale integer[], freed boolean, changed boolean);

-- Dead rows stand in the way of claims, so they are cleared away early and without pauses.
alter table taskmill.waiting set (
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_vacuum_insert_scale_factor = 0.0,
    autovacuum_vacuum_insert_threshold = 100000
);
alter table taskmill.job set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
