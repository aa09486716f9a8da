"""The peers, and what each needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.subjects.base import ROOT, Subject

VENVS = ROOT / ".venv-peers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer(Subject):
    """A subject with an environment of its own, into which pip installs its requirements."""

    requirements: tuple[str, ...]

    @property
    def venv(self) -> Path:
        return self.python.parent.parent


def _python(name: str) -> Path:
    return VENVS / name / "bin" / "python"


PEERS = {
    "celery": Peer(
        title="Celery, Redis",
        adapter="bench.peers.celery:CeleryAdapter",
        python=_python("celery"),
        needs="BENCH_REDIS_URL",
        requirements=("celery[redis]>=5.5",),
    ),
    "dramatiq": Peer(
        title="Dramatiq, Redis",
        adapter="bench.peers.dramatiq:DramatiqAdapter",
        python=_python("dramatiq"),
        needs="BENCH_REDIS_URL",
        requirements=("dramatiq[redis]>=1.17",),
    ),
    "rq": Peer(
        title="RQ, Redis (a process a job)",
        adapter="bench.peers.rq:RqAdapter",
        python=_python("rq"),
        needs="BENCH_REDIS_URL",
        share=0.03,
        requirements=("rq>=2",),
    ),
    "pgqueuer": Peer(
        title="pgqueuer, PostgreSQL",
        adapter="bench.peers.pgqueuer:PgqueuerAdapter",
        python=_python("pgqueuer"),
        needs="BENCH_POSTGRES_URL",
        has_results=False,
        requirements=("pgqueuer[asyncpg]>=0.20", "psycopg[binary]>=3.2"),
    ),
    "procrastinate": Peer(
        title="procrastinate, PostgreSQL",
        adapter="bench.peers.procrastinate:ProcrastinateAdapter",
        python=_python("procrastinate"),
        needs="BENCH_POSTGRES_URL",
        share=0.3,
        has_results=False,
        requirements=("procrastinate>=3", "psycopg[binary]>=3.2"),
    ),
}
