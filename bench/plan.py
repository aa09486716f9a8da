"""All that is measured, in the order of the table, with what is wanted of taskmill.

A new figure is a function in bench/figures/ that returns it under a name, and a line here.
"""

from __future__ import annotations

from bench.figure import PAUSED_SYNC, Figure, Measurement, Target
from bench.figures import crowd, drain, enqueue, idle, journal, latency, servers
from bench.subjects import BESIDE

ALL = tuple(BESIDE)
HUEY = "huey"
ALONE = ("taskmill",)
STORES = ("taskmill", "taskmill-postgres")
ONE_THREAD = "enqueue.by_1"

MEASUREMENTS = (
    Measurement(
        measure=drain.drain,
        subjects=ALL,
        figures=(
            Figure(
                "rate",
                "drain of no-op jobs, one worker process of 4 threads, results on, jobs/s",
                "higher",
                (Target(60_000), Target(25, HUEY, told="times Huey")),
            ),
            Figure("cpu", "CPU of that worker process, us a job", "lower", (Target(16),)),
        ),
    ),
    Measurement(
        measure=drain.backlog,
        subjects=STORES,
        figures=(
            Figure("queued", "drain with 1,000,000 queued, share of its rate", "higher", (Target(0.9),)),
            Figure(
                "delayed",
                "drain beside 1,000,000 delayed of higher priority, share of its rate",
                "higher",
                (Target(0.9),),
            ),
            Figure("idle", "a turn beside these that finds nothing, ms", "lower", (Target(0.1),)),
        ),
    ),
    Measurement(
        measure=drain.watched,
        subjects=ALONE,
        figures=(
            Figure(
                "share",
                "drain of a whole worker with `--http`, share of its rate without",
                "higher",
                (Target(0.95),),
            ),
        ),
    ),
    Measurement(
        measure=drain.coroutines,
        subjects=ALONE,
        figures=(Figure("rate", "drain of no-op coroutines, jobs/s", "higher", (Target(40_000),)),),
    ),
    Measurement(
        measure=journal.journal,
        subjects=ALONE,
        figures=(
            Figure(
                "quiet",
                "drain of jobs that log nothing, log lines kept, share of the rate without",
                "higher",
                (Target(0.95),),
            ),
            Figure("line", "the same, of jobs that log one line each", "higher"),
        ),
    ),
    Measurement(
        measure=drain.sleepers,
        subjects=ALONE,
        figures=(
            Figure("start", "10,000 coroutines asleep at once in one worker, after s", "lower", (Target(2),)),
        ),
    ),
    Measurement(
        measure=enqueue.enqueue,
        subjects=ALL,
        figures=(
            Figure(
                "by_1",
                "enqueue, one thread, jobs/s",
                "higher",
                (Target(0.8, HUEY, told="times Huey"),),
            ),
            Figure(
                "by_8",
                "enqueue, 8 threads, jobs/s",
                "higher",
                (Target(2.5, ONE_THREAD, told="times one thread"),),
            ),
            Figure(
                "by_16",
                "enqueue, 16 threads, jobs/s",
                "higher",
                (Target(3.5, ONE_THREAD, told="times one thread"),),
            ),
        ),
    ),
    Measurement(
        measure=enqueue.enqueue_normal,
        subjects=ALONE,
        figures=(
            Figure("rate", "enqueue, one thread, `?durability=normal`, jobs/s", "higher", (Target(20_000),)),
        ),
    ),
    Measurement(
        measure=enqueue.enqueue_many,
        subjects=STORES,
        figures=(Figure("rate", "`enqueue_many`, 1,000 a call, jobs/s", "higher", (Target(100_000),)),),
    ),
    Measurement(
        measure=servers.on_redis,
        subjects=ALONE,
        figures=(
            Figure("one", "enqueue on Redis, one thread, jobs/s", "higher"),
            Figure("share", "the same, by a bare LPUSH beside it", "higher", (Target(0.7),)),
            Figure("many", "`enqueue_many` on Redis, 1,000 a call, jobs/s", "higher", (Target(60_000),)),
        ),
    ),
    Measurement(
        measure=servers.on_postgres,
        subjects=ALONE,
        figures=(
            Figure("one", "enqueue on PostgreSQL, one thread, jobs/s", "higher"),
            Figure("share", "the same, by a bare durable insert beside it", "higher", (Target(0.8),)),
            Figure("many", "`enqueue_many` on PostgreSQL, 1,000 a call, jobs/s", "higher", (Target(60_000),)),
            Figure("drain", "drain on PostgreSQL, results on, jobs/s", "higher", (Target(20_000),)),
            Figure("start", "enqueue to start on PostgreSQL, p50 ms", "lower", (Target(3),)),
            Figure("result", "enqueue to result on PostgreSQL, p50 ms", "lower", (Target(5),)),
        ),
    ),
    Measurement(
        measure=latency.latency,
        subjects=ALL,
        figures=(
            Figure(
                "start",
                "enqueue to start, idle worker of another process, p50 ms",
                "lower",
                (Target(2, PAUSED_SYNC, 0.5, "syncs"),),
            ),
            Figure("start_p99", "the same, p99 ms", "lower", (Target(5),)),
            Figure(
                "result",
                "enqueue to result in the caller, p50 ms",
                "lower",
                (Target(3, PAUSED_SYNC, 1.0, "syncs"),),
            ),
            Figure("result_p99", "the same, p99 ms", "lower", (Target(8),)),
        ),
    ),
    Measurement(
        measure=latency.delay,
        subjects=ALL,
        figures=(
            Figure("late", "a delay of 1.0 s, late by p50 ms", "lower", (Target(2),)),
            Figure("late_p99", "the same, p99 ms", "lower", (Target(10),)),
            Figure(
                "earliest",
                "the same, the earliest, ms (below 0: too early)",
                "higher",
                (Target(0),),
                is_comparable=False,
            ),
        ),
    ),
    Measurement(
        measure=latency.priority,
        subjects=ALONE,
        figures=(
            Figure(
                "start",
                "a high-priority job behind 100,000 low ones, enqueue to start, worst of 20, ms",
                "lower",
                (Target(60),),
            ),
        ),
    ),
    Measurement(
        measure=latency.spread,
        subjects=ALONE,
        figures=(
            Figure(
                "end", "8 one-second jobs, 2 workers of 4 threads, all done after s", "lower", (Target(1.1),)
            ),
        ),
    ),
    Measurement(
        measure=idle.idle,
        subjects=ALL,
        figures=(
            Figure("cpu", "an idle worker process, % of a core", "lower", (Target(0.3),)),
            Figure("rss", "the same, memory (RSS), MB", "lower", (Target(30),)),
            Figure("uss", "the same, memory that it shares with nobody (USS), MB", "lower"),
        ),
    ),
    Measurement(
        measure=idle.start_up,
        subjects=("taskmill", HUEY),
        figures=(Figure("time", "import, beyond that of a bare Python, ms", "lower", (Target(30),)),),
    ),
    Measurement(
        measure=crowd.crowd,
        subjects=ALONE,
        figures=(
            Figure(
                "refused",
                "16 producer and 4 worker processes on one file, enqueues refused",
                "lower",
                (Target(0),),
            ),
            Figure(
                "turns", "the same, enqueue p99 by (20 processes x one commit alone)", "lower", (Target(4),)
            ),
            Figure("p99", "the same, enqueue p99 ms", "lower"),
            Figure("most", "the same, the longest enqueue, ms", "lower", (Target(1_000),)),
        ),
    ),
    Measurement(
        measure=crowd.spin,
        subjects=ALONE,
        figures=(
            Figure(
                "held", "write lock held by a worker of 4 computing threads, p99 ms", "lower", (Target(5),)
            ),
            Figure("enqueue", "enqueue of another process beside it, p99 ms", "lower", (Target(25),)),
        ),
    ),
    Measurement(
        measure=crowd.payload,
        subjects=ALONE,
        figures=(
            Figure("writes", "an argument of 1 MB, enqueued and run, times written", "lower", (Target(3),)),
            Figure("neighbour", "enqueue of another process beside such, p99 ms", "lower", (Target(25),)),
        ),
    ),
)
