"""The exceptions: each is in the tree at the top of its file, says something, and survives a process boundary."""

from __future__ import annotations

import inspect
import pickle

import pytest

from taskmill import errors

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__]
EXAMPLES = [
    errors.InvalidURL("ftp://x", "it has no store"),
    errors.UnknownTask("shop.mail"),
    errors.PayloadTooLarge(2_000_000, 1_000_000),
    errors.Unserializable("args[0]", "<lock>", "pass a value"),
    errors.JobFailed("1", "add", "error", ("ValueError", "boom", "Traceback ...")),
    errors.JobExpired("1", "add", "expired"),
    errors.ResultTimeout("1", 0.5, "queued"),
    errors.StoreBusy("jobs.db", 5.0, "process 7"),
    errors.SchemaTooNew("jobs.db", 9, 1),
    errors.LockTimeout("daily", 3),
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_exception_is_in_the_tree_that_opens_its_file(cls: type[BaseException]) -> None:
    assert cls.__name__ in str(errors.__doc__)


def test_a_result_that_is_not_there_says_what_may_be_the_reason() -> None:
    assert "does a worker run" in str(errors.ResultTimeout("1", 2, "queued"))
    assert "does a worker run" not in str(errors.ResultTimeout("1", 2, "running"))


def test_the_tree_names_no_exception_that_is_not_there() -> None:
    lines = [line.lstrip("│├└─ ") for line in str(errors.__doc__).splitlines() if "──" in line]

    named = {word for line in lines for word in line.replace("├──", " ").replace("└──", " ").split()[:1]}

    assert named <= {cls.__name__ for cls in CLASSES}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_exception_survives_being_pickled(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own)

    assert (type(copy), str(copy), copy.__dict__) == (type(error), str(error), error.__dict__)
