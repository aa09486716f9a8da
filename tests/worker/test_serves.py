"""What the session of a worker says that it takes."""

from __future__ import annotations

from typing import Any

from taskmill import Mill
from taskmill._core.census import Serves
from taskmill._worker.machine import Machine
from taskmill._worker.options import WorkerOptions
from taskmill._worker.place import Place


def served(mill: Mill, place: Place | None = None, **options: Any) -> Serves | None:
    mill.task(name="add", aliases=["plus"])(lambda a, b: a + b)
    machine = Machine(mill.app, WorkerOptions(**options), lambda: None, place)
    [presence] = mill.app.storage.health.census().sessions
    machine.close()
    return presence.serves


def test_all_queues_and_each_name_of_a_task(mill: Mill) -> None:
    serves = served(mill)

    assert serves is not None
    assert serves.queues is None
    assert set(serves.executors) == {"thread", "asyncio", "process"}
    assert set(serves.tasks) == {"add", "plus"}


def test_the_queues_that_it_is_told_and_the_executors_that_it_has_slots_for(mill: Mill) -> None:
    serves = served(mill, queues={"mail"}, coroutines=0, process_slots=0)

    assert serves is not None
    assert serves.queues is not None
    assert (set(serves.queues), set(serves.executors)) == ({"mail"}, {"thread"})


def test_one_that_takes_suspects_only_is_of_no_use_to_who_waits(mill: Mill) -> None:
    assert served(mill, Place(serves="suspects")) is None
