"""How long each page takes, from the request to the last byte."""

from __future__ import annotations

from contextlib import closing

from bench.dashboard.browser import Browser, dashboard
from bench.dashboard.stored import TASKS
from bench.site import Site
from bench.statistic import median, timed
from taskmill import Mill, State
from taskmill._core.filter import Filter

_LISTS = {
    "overview": "/",
    "jobs": "/jobs",
    "jobs, failed": "/jobs?state=failed",
    "jobs of a task": f"/jobs?task={TASKS[0]}",
    "jobs with a tag": "/jobs?tag=big",
    "errors": "/errors",
    "queues": "/queues",
    "tasks": "/tasks",
    "schedules": "/schedules",
    "workers": "/workers",
    "locks": "/locks",
    "search, found soon": "/jobs?text=customer-99",
    "search, found nowhere": "/jobs?text=nowhere",
}


def measure(site: Site, rounds: int) -> dict[str, str]:
    """The median of each, in milliseconds."""
    with closing(Mill(site.url)) as mill:
        [job] = mill.app.storage.inspection.find(Filter(states=[State.FAILED]), limit=1)
    paths = {**_LISTS, "a job": f"/jobs/{job.job_id}"}
    times: dict[str, list[float]] = {name: [] for name in paths}
    with dashboard(site) as port:
        browser = Browser(port)
        for _ in range(rounds):
            for name, path in paths.items():
                times[name].append(timed(browser.get, path))
    return {f"{name}, ms": f"{median(each):.0f}" for name, each in times.items()}
