from __future__ import annotations

import pytest

from taskmill._core.fingerprint import fingerprint
from taskmill._core.job import ErrorInfo

TRACE = """Traceback (most recent call last):
  File "/srv/shop/tasks.py", line 12, in run
    helper()
  File "/srv/shop/helper.py", line {line}, in help_out
    raise ValueError
"""


def error(message: str, *, line: int = 7) -> ErrorInfo:
    return ErrorInfo("ValueError", message, TRACE.format(line=line))


@pytest.mark.parametrize(
    "one, other",
    [
        ("order 17 is gone", "order 18 is gone"),
        ("no user 'ann'", "no user 'bob'"),
        ('no user "ann"', 'no user "o\\n"'),
        ("at 0x7f01aa", "at 0xdeadbeef"),
        ("job 01a22151-93df-7662-867f-1d87a7d32540 died", "job 01a22151-93f4-7667-9404-c90b635f02c0 died"),
        ("took 1.5 s", "took 12,345 s"),
        ("mail to ann@example.org", "mail to bob.b@example.com"),
    ],
)
def test_what_varies_makes_no_other_kind(one: str, other: str) -> None:
    assert fingerprint("t", "error", error(one)) == fingerprint("t", "error", error(other, line=99))


def test_another_task_type_message_or_place_is_another_kind() -> None:
    kinds = {
        fingerprint("t", "error", error("a")),
        fingerprint("u", "error", error("a")),
        fingerprint("t", "error", error("b")),
        fingerprint("t", "error", error("a")._replace(type="KeyError")),
        fingerprint("t", "error", error("a")._replace(traceback="")),
        fingerprint("t", "crashed", None),
        fingerprint("t", "timeout", None),
    }

    assert len({kind.mark for kind in kinds}) == 7


def test_it_says_where_the_error_was_raised() -> None:
    found = fingerprint("t", "error", error("order 17 of 'ann'"))

    assert found[1:] == ("ValueError", "order <n> of <text>", "helper.py in help_out")


@pytest.mark.parametrize("text", ["", "x" * 1_000_000, '  File "', "\ud800", "'" * 100_000, "1." * 50_000])
def test_any_text_has_one_in_no_time(text: str) -> None:
    assert len(fingerprint(text, None, ErrorInfo(text, text, text)).mark) == 16
