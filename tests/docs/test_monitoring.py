"""The dashboard and the alerts in examples/monitoring ask only for what a worker tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from taskmill._core.instant import SECOND
from taskmill._core.lifecycle import Settlement
from taskmill._core.meter import Meter
from taskmill._storage.memory.storage import MemoryStorage
from taskmill._worker.messages import Pulse
from taskmill._worker.probes.metrics import Metrics
from taskmill._worker.probes.store import Store
from taskmill.testing import FakeClock
from tests.conformance.builders import Worker, a_job, succeeded
from tests.worker.house import House
from tests.worker.samples import Samples

MONITORING = Path(__file__).parents[2] / "examples" / "monitoring"
NAME = re.compile(r"taskmill_\w+")


def told() -> set[str]:
    """The names of all that a worker tells which has something to tell of everything."""
    clock = FakeClock()
    storage = MemoryStorage(clock)
    house = House(storage, clock)
    process = house.start()
    storage.jobs.add([a_job("a"), a_job("b")])
    meter = Meter()
    meter.happened("enqueued", [("add", "default")])
    meter.happened("retrying", [("add", "default")])
    meter.ended([Settlement(Worker(storage).claim_one(), succeeded(), clock.wall())], clock.wall() + SECOND)
    house.hear(process, Pulse(is_sure=True, slots=(("thread", 1, 3),), counts=meter.take()))
    names = Samples(Metrics(house.supervisor, Store(lambda: storage), "1").text()).names
    # Only where there is a schedule whose task a worker knows.
    return names | {"taskmill_schedule_lag_seconds"}


def expressions(value: Any) -> Iterator[str]:
    """All that Prometheus is asked, wherever it stands."""
    if isinstance(value, list):
        for each in value:
            yield from expressions(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key in {"expr", "query"} and isinstance(each, str) and "taskmill" in each:
                yield each
            else:
                yield from expressions(each)


def test_the_dashboard_asks_for_what_there_is() -> None:
    dashboard = json.loads((MONITORING / "grafana.json").read_text())
    asked = {name for each in expressions(dashboard) for name in NAME.findall(each)}

    assert len(asked) > 8
    assert asked <= told()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_alerts_ask_for_what_there_is() -> None:
    [group] = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    asked = {name for rule in group["rules"] for name in NAME.findall(rule["expr"])}

    assert asked
    assert asked <= told()
    assert all({"alert", "expr", "for", "labels", "annotations"} <= rule.keys() for rule in group["rules"])
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"])


def test_the_names_in_the_documentation_are_those() -> None:
    page = (MONITORING.parents[1] / "docs" / "operations.md").read_text()
    listed = set(re.findall(r"^\| `(taskmill_\w+)` \|", page, re.MULTILINE))
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in told()}

    assert listed == families
