"""What a worker loses while somebody looks at the dashboard."""

from __future__ import annotations

from contextlib import ExitStack, closing

from bench.dashboard.browser import opened
from bench.process import by_worker
from bench.site import Site
from bench.statistic import median
from bench.subjects.base import unchanged
from taskmill import Mill

_JOBS = 40_000
_BATCH = 1_000


def measure(site: Site, rounds: int) -> dict[str, str]:
    """Turn and turn about, so that the drift of the machine meets both."""
    shares = []
    for _ in range(rounds):
        closed = _rate(site, is_open=False)
        shares.append(_rate(site, is_open=True) / closed)
    spread = f"{min(shares):.2f} to {max(shares):.2f}"
    return {"drain, dashboard open by closed": f"{median(shares):.3f} ({spread})"}


def _rate(site: Site, *, is_open: bool) -> float:
    with ExitStack() as stack:
        if is_open:
            stack.enter_context(opened(site, "/"))
        with closing(Mill(site.url)) as mill:
            work = mill.task(name="work")(unchanged)
            for _ in range(0, _JOBS, _BATCH):
                mill.enqueue_many(work.using(result_ttl=0).s(0.0) for _ in range(_BATCH))
        return by_worker(site, "drain", _JOBS)["rate"]
