"""Odd, broken and huge values, each in a job of its own through a real worker: returned as they went in, or refused."""

from __future__ import annotations

import enum
import math
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from taskmill import Mill, State, errors


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: Any = None


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


KEPT: list[Any] = [
    *(None, True, False, 0, -1, 1 << 63, -(1 << 64), 10**4_000, -(10**5_000)),
    *(0.0, -0.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, math.inf, -math.inf),
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\n\r\t",
        "\x1b[31mred\x1b[0m",
        "\u202egnp.exe",
        "\ufeff",
        "\uffff",
        "é",
        "e\u0301",
    ),
    *(
        "🏳️‍🌈",
        "\U0010ffff",
        "'; drop table taskmill_job; --",
        "{{7*7}}",
        "%s %(a)s {0}",
        "<script>",
        "null",
        "NaN",
    ),
    *(
        "\ud800",
        {"\udfff": "\udc80"},
        Fraction(1, 3),
        range(3),
        '{"!tuple": []}',
        "!tuple",
        "\\u0000",
        "\\ud800",
        "0" * 100_000,
    ),
    *(
        b"",
        b"\0\xff",
        bytes(range(256)) * 100,
        (),
        (1,),
        ((), [()]),
        [],
        {},
        [[], {}],
        set(),
        frozenset({frozenset()}),
    ),
    *({"": ""}, {"!tuple": [1]}, {1: "a", "1": "b"}, {None: 0, True: 1}, {(1, 2): {3.5: b"x"}}, nested(50)),
    *(complex(1, -0.0), Decimal("1E+400"), Decimal("-0.00"), UUID(int=0), PurePosixPath("/a b/\n")),
    *(
        date.min,
        date.max,
        time(23, 59, 59, 999_999),
        timedelta.min,
        timedelta.max,
        datetime.max,  # noqa: DTZ901  (without a time zone on purpose)
        datetime.min,  # noqa: DTZ901
    ),
    *(datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")), datetime(1, 1, 1, tzinfo=UTC)),
    *(datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=-1))), Colour.RED, Point(1, [Point(2)])),
    [None, True, 0, 0.5, "", b"", (), {}, set(), Colour.RED, Point(0)],
]


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


class Hostile:
    """Nothing can be done with it."""

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(name)

    def __repr__(self) -> str:
        raise KeyboardInterrupt


REFUSED: list[Callable[[], Any]] = [
    *(lambda: "x" * 1_000_001, lambda: nested(100_000), cyclic, object),
    *(lambda: deque([1]), threading.Lock, lambda: sys, lambda: print, lambda: type),
    *(lambda: (n for n in range(3)), lambda: memoryview(b"x"), lambda: Ellipsis, Exception),
    *(lambda: [1, {2: {object()}}], lambda: Hostile, lambda: NotImplemented),
]


@pytest.fixture
def mill(tmp_path: Path) -> Mill:
    mill = Mill(f"sqlite:///{tmp_path}/jobs.db")
    mill.register(Colour)
    mill.register(Point)
    return mill


def integrity(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        [answer] = connection.execute("pragma integrity_check").fetchone()
        return str(answer)


def test_every_odd_value_comes_back_as_it_was(mill: Mill, tmp_path: Path) -> None:
    echo = mill.task(name="echo")(lambda value, **options: value)
    results = [echo.enqueue(value, more=value) for value in [*KEPT, math.nan]]
    with mill.worker(burst=True):
        pass

    *returned, not_a_number = [result.get(timeout=0) for result in results]

    assert len(returned) >= 50
    for value, got in zip(KEPT, returned, strict=True):
        assert (type(got), got) == (type(value), value)
        assert isinstance(value, int) or str(got) == str(value)
    assert math.isnan(not_a_number)
    assert integrity(tmp_path) == "ok"
    mill.close()


def test_what_has_no_text_is_refused_when_enqueued_and_fails_its_job_alone_when_returned(
    mill: Mill, tmp_path: Path
) -> None:
    echo = mill.task(name="echo")(lambda value: value)
    give = mill.task(name="give")(lambda index: REFUSED[index]())

    for make in REFUSED:
        with pytest.raises((errors.Unserializable, errors.PayloadTooLarge)):
            echo.enqueue(make())
    results = [give.enqueue(index) for index in range(len(REFUSED))]
    with mill.worker(burst=True):
        pass

    jobs = [result.job() for result in results]
    assert [(job.state, job.reason) for job in jobs] == [(State.FAILED, "result refused")] * len(REFUSED)
    refusals = {"taskmill.errors.Unserializable", "taskmill.errors.PayloadTooLarge"}
    assert {job.error.type for job in jobs if job.error} == refusals
    assert integrity(tmp_path) == "ok"
    mill.close()


def test_odd_errors_fail_their_jobs_with_a_text(mill: Mill, tmp_path: Path) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("nothing to say")

    raised: list[BaseException] = [
        *(
            ValueError("\ud800"),
            ValueError("a\0b"),
            ValueError("x" * 3_000_000),
            ValueError(b"\xff"),
            ValueError(),
        ),
        *(
            Mute(),
            KeyError("\x1b[2J"),
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
            OSError(28, "full"),
        ),
        *(
            SystemExit(3),
            SystemExit("why"),
            KeyboardInterrupt(),
            GeneratorExit(),
            StopIteration(1),
            RecursionError(),
        ),
        *(
            MemoryError(),
            ExceptionGroup("many", [ValueError(n) for n in range(100)]),
            type("\u202e", (Exception,), {})(),
        ),
    ]

    def throw(index: int) -> None:
        raise raised[index]

    fail = mill.task(name="fail")(throw)
    results = [fail.enqueue(index) for index in range(len(raised))]
    with mill.worker(burst=True):
        pass

    jobs = [result.job() for result in results]
    assert [job.state for job in jobs] == [State.FAILED] * len(raised)
    assert all(job.error is not None and len(job.error.traceback) < 200_000 for job in jobs)
    assert integrity(tmp_path) == "ok"
    mill.close()


def test_large_values_pass_up_to_the_limit_which_can_be_raised(tmp_path: Path) -> None:
    small, large = "x" * 999_000, "y" * 100_000_000
    mill = Mill(f"sqlite:///{tmp_path}/jobs.db")
    echo = mill.task(name="echo")(lambda value: value)
    double = mill.task(name="double")(lambda value: value * 200)

    result, too_large = echo.enqueue(small), double.enqueue("z" * 10_000)
    with pytest.raises(errors.PayloadTooLarge) as caught:
        echo.enqueue(large)
    with mill.worker(burst=True):
        pass

    assert result.get(timeout=0) == small
    assert str(caught.value) == (
        "100,000,009 bytes encoded, the limit is 1,000,000; store the data elsewhere and pass its path or key, "
        "or raise Mill(payload_limit=...)"
    )
    assert (too_large.job().state, too_large.job().reason) == (State.FAILED, "result refused")
    mill.close()

    roomy = Mill(f"sqlite:///{tmp_path}/jobs.db?durability=normal", payload_limit=200_000_000)
    size = roomy.task(name="size")(len).enqueue(large)
    small_one = roomy.task(name="small")(lambda: "beside it").enqueue()
    with roomy.worker(burst=True):
        pass

    assert size.get(timeout=0) == len(large)
    assert small_one.get(timeout=0) == "beside it"
    roomy.close()
    assert integrity(tmp_path) == "ok"
