"""The libraries that are measured side by side."""

from __future__ import annotations

from bench.peers.subjects import PEERS
from bench.subjects.base import Subject

BESIDE = {
    "taskmill": Subject(title="taskmill", adapter="bench.subjects.taskmill:on_sqlite"),
    "taskmill-redis": Subject(
        title="taskmill, Redis", adapter="bench.subjects.taskmill:on_redis", needs="BENCH_REDIS_URL"
    ),
    "taskmill-postgres": Subject(
        title="taskmill, PostgreSQL",
        adapter="bench.subjects.taskmill:on_postgres",
        needs="BENCH_POSTGRES_URL",
    ),
    "huey": Subject(title="Huey", adapter="bench.subjects.huey:on_sqlite"),
    "huey-nofsync": Subject(title="Huey, fsync off", adapter="bench.subjects.huey:on_sqlite_without_fsync"),
    "huey-redis": Subject(
        title="Huey, Redis", adapter="bench.subjects.huey:on_redis", needs="BENCH_REDIS_URL"
    ),
}
SUBJECTS = BESIDE | PEERS
