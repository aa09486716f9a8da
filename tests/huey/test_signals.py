"""The signals of taskmill.huey: their names, their order, their receivers."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from taskmill import Event
from taskmill.huey import MemoryHuey, SqliteHuey, TaskException
from tests.huey.builders import Recorder, consuming


def wait_for(handle: Any) -> Any:
    return handle(blocking=True, timeout=45)


def test_a_call_is_heard_of_in_order_with_what_it_was_called_with(
    huey: SqliteHuey, recorder: Recorder
) -> None:
    @huey.task(context=True)
    def add(a: int, b: int, task: Any = None) -> int:
        return a + b

    with consuming(huey):
        handle = add(2, b=3)
        wait_for(handle)

    assert recorder.of("add") == ["enqueued", "executing", "complete"]
    for _, task, _ in recorder.heard:
        assert json.loads(json.dumps([task.name, task.id, task.args, task.kwargs])) == [
            "add",
            handle.id,
            [2],
            {"b": 3},
        ]


def test_enqueued_is_heard_before_a_quick_worker(huey: SqliteHuey, recorder: Recorder) -> None:
    @huey.task()
    def one() -> int:
        return 1

    with consuming(huey):
        handles = [one() for _ in range(50)]
        for handle in handles:
            wait_for(handle)

    for handle in handles:
        told = [signal for signal, task, _ in recorder.heard if task.id == handle.id]
        assert told == ["enqueued", "executing", "complete"]


def test_a_call_that_ends_before_its_enqueue_has_returned_is_told_in_full(
    huey: SqliteHuey, recorder: Recorder
) -> None:
    @huey.task()
    def one() -> int:
        return 1

    @huey.mill.on("enqueued")
    def hold(event: Event) -> None:
        with consuming(huey):
            huey.result(event.job_id, blocking=True, timeout=45)

    assert one()() == 1
    assert recorder.of("one") == ["enqueued", "executing", "complete"]


def test_a_delayed_call_is_scheduled_and_enqueued_again_when_its_time_has_come(
    huey: SqliteHuey, recorder: Recorder
) -> None:
    @huey.task()
    def one() -> int:
        return 1

    with consuming(huey):
        wait_for(one.schedule(delay=0.05))

    assert recorder.of("one") == ["enqueued", "scheduled", "enqueued", "executing", "complete"]
    assert recorder.heard[1][1].eta is not None
    assert recorder.heard[1][1].eta == recorder.heard[3][1].eta


def test_a_step_is_enqueued_after_the_one_before_is_complete(huey: SqliteHuey, recorder: Recorder) -> None:
    @huey.task()
    def first() -> int:
        return 7

    @huey.task()
    def second(*args: int) -> int:
        return sum(args)

    with consuming(huey):
        wait_for(huey.enqueue(first.s().then(second, 1)))

    signals = ("enqueued", "executing", "complete")
    assert recorder.story == [(signal, name) for name in ("first", "second") for signal in signals]
    assert [task.args for _, task, _ in recorder.heard] == [()] * 3 + [(1, 7)] * 3


def test_a_step_can_have_its_own_time(huey: SqliteHuey, recorder: Recorder) -> None:
    @huey.task()
    def same(number: int) -> int:
        return number

    with consuming(huey):
        wait_for(huey.enqueue(same.s(1).then(same.s(delay=0.1))))

    assert recorder.of("same")[3:] == ["enqueued", "scheduled", "enqueued", "executing", "complete"]


def test_a_step_that_never_comes_is_not_heard_of(huey: SqliteHuey, recorder: Recorder) -> None:
    @huey.task()
    def first() -> int:
        raise ValueError

    @huey.task()
    def second(number: int) -> int:
        return number

    with consuming(huey), pytest.raises(TaskException):
        wait_for(huey.enqueue(first.s().then(second)))

    assert recorder.story == [("enqueued", "first"), ("executing", "first"), ("error", "first")]


def test_a_revoked_call_is_heard_of_once_and_logged(
    huey: SqliteHuey, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    @huey.task()
    def one() -> int:
        return 1

    handle = one.schedule(delay=60)
    handle.revoke()
    handle.revoke()

    assert recorder.of("one") == ["enqueued", "scheduled", "revoked"]
    [record] = caplog.records
    assert (record.name, record.levelname) == ("huey", "WARNING")
    assert handle.id in record.getMessage()


def test_an_expired_call_is_heard_of(huey: SqliteHuey, recorder: Recorder) -> None:
    @huey.task(expires=0)
    def one() -> int:
        return 1

    handle = one()
    with consuming(huey), pytest.raises(TaskException):
        wait_for(handle)

    assert recorder.of("one") == ["enqueued", "expired"]


def test_a_job_that_is_given_back_in_mid_run_was_interrupted(huey: SqliteHuey, recorder: Recorder) -> None:
    is_running, may_end = threading.Event(), threading.Event()

    @huey.task()
    def long() -> None:
        is_running.set()
        may_end.wait(45)

    long()
    consumer = huey.create_consumer()
    consumer.start()
    is_running.wait(45)
    consumer.stop(graceful=False)
    may_end.set()

    assert recorder.of("long") == ["enqueued", "executing", "interrupted"]


def test_a_result_that_cannot_be_stored_is_an_error(huey: SqliteHuey, recorder: Recorder) -> None:
    @huey.task()
    def odd() -> object:
        return threading.Lock()

    with consuming(huey), pytest.raises(TaskException, match="cannot be stored"):
        wait_for(odd())

    [error] = [exc for signal, _, exc in recorder.heard if signal == "error"]
    assert "cannot be stored" in str(error)


def test_a_job_that_is_retried_by_hand_is_enqueued_again(huey: SqliteHuey, recorder: Recorder) -> None:
    @huey.task()
    def one() -> int:
        return 1

    handle = one.schedule(delay=60)
    handle.revoke()
    huey.mill.retry(handle.id)
    with consuming(huey):
        assert wait_for(handle) == 1

    assert recorder.of("one")[2:] == ["revoked", "enqueued", "executing", "complete"]


def test_receivers_choose_their_signals_and_can_leave(huey: SqliteHuey) -> None:
    heard: list[str] = []

    @huey.signal("enqueued", "complete")
    def listen(signal: str, task: Any) -> None:
        heard.append(f"{signal} {task.name}")

    @huey.task()
    def one() -> int:
        return 1

    with consuming(huey):
        wait_for(one())
    huey.disconnect_signal(listen, "complete")
    with consuming(huey):
        wait_for(one())
    huey.disconnect_signal(listen)
    one()

    assert heard == ["enqueued one", "complete one", "enqueued one"]


def test_an_error_in_a_receiver_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    huey = MemoryHuey()
    heard: list[str] = []

    @huey.signal("enqueued")
    def broken(signal: str, task: Any) -> None:
        raise ValueError("a receiver's own")

    @huey.signal()
    def listen(signal: str, task: Any) -> None:
        heard.append(signal)

    @huey.task()
    def one() -> int:
        return 1

    one()

    assert heard == ["enqueued"]
    assert "a receiver's own" in caplog.text


def test_what_another_program_enqueued_has_its_name(huey: SqliteHuey, recorder: Recorder) -> None:
    @huey.mill.task(name="shop.mail.send")
    def send() -> None: ...

    send.enqueue()

    assert recorder.story == [("enqueued", "send")]
