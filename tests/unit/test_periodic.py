from __future__ import annotations

from typing import Any

import pytest

from taskmill import Context, Mill, State, Task, cron, every
from taskmill.errors import ConfigurationError
from tests.unit.little_worker import LittleWorker


def test_a_function_becomes_a_task_with_a_schedule(mill: Mill, worker: LittleWorker) -> None:
    @mill.periodic(every(15), name="beat", queue="clock", priority=5)
    def heartbeat(context: Context, loud: bool = False) -> tuple[str, bool]:
        return context.queue, loud

    [periodic] = mill.app.periodics.values()
    [job_id] = mill.app.submit([periodic.new_job(mill.app.storage.now())])
    worker.run_all()

    assert isinstance(heartbeat, Task)
    assert (periodic.name, periodic.task, periodic.schedule.spec) == ("beat", heartbeat, "every 15s")
    assert mill.result(job_id).get() == ("clock", False)
    assert heartbeat.enqueue(loud=True).state is State.QUEUED


def test_a_task_can_get_a_schedule_too(mill: Mill) -> None:
    @mill.task(name="sync")
    def sync() -> None: ...

    assert mill.periodic(every(60))(sync) is sync
    assert mill.periodic(cron("@daily"), name="nightly")(sync) is sync
    assert {name: periodic.task for name, periodic in mill.app.periodics.items()} == {
        "sync": sync,
        "nightly": sync,
    }


def test_a_cell_that_runs_again_changes_the_schedule(mill: Mill) -> None:
    def cell(seconds: int) -> Any:
        @mill.periodic(every(seconds))
        def heartbeat() -> None: ...

        return heartbeat

    cell(15)
    second = cell(30)

    [periodic] = mill.app.periodics.values()
    assert (periodic.task, periodic.schedule.spec) == (second, "every 30s")


def test_a_task_that_needs_arguments_is_refused(mill: Mill) -> None:
    with pytest.raises(ConfigurationError, match=r"nobody passes arguments to a periodic task: .*'to'"):

        @mill.periodic(every(15))
        def send(to: str) -> None: ...


def test_two_schedules_need_two_names(mill: Mill) -> None:
    @mill.periodic(every(15), name="beat")
    def one() -> None: ...

    @mill.task
    def two() -> None: ...

    with pytest.raises(ConfigurationError, match="two schedules are called 'beat'"):
        mill.periodic(every(15), name="beat")(two)
    with pytest.raises(ConfigurationError, match="has two schedules: give one of them a name="):
        mill.periodic(every(30))(one)


def test_options_of_a_task_belong_to_the_task(mill: Mill) -> None:
    @mill.task
    def sync() -> None: ...

    with pytest.raises(ConfigurationError, match=r"is a task already: give its options to @mill.task"):
        mill.periodic(every(15), queue="clock")(sync)
    with pytest.raises(ConfigurationError, match="name=''"):
        mill.periodic(every(15), name="")(sync)


@pytest.mark.parametrize("schedule", [15, "* * * * *", print])
def test_what_is_no_schedule_is_refused(mill: Mill, schedule: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"is no schedule: write mill.periodic"):
        mill.periodic(schedule)(lambda: None)


def test_a_decorator_without_a_schedule_is_refused(mill: Mill) -> None:
    def tidy() -> None: ...

    with pytest.raises(ConfigurationError, match="is no schedule"):
        mill.periodic(tidy)  # type: ignore[arg-type]
