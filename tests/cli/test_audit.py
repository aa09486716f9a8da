"""What is done in a terminal is noted in the store."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence

import pytest

from taskmill import Mill
from taskmill._app import steering
from taskmill._app.application import Application
from taskmill._cli import exit_code
from tests.cli.shell import Shell
from tests.conformance.builders import a_job


def test_each_act_is_noted_with_the_user_of_the_terminal(shell: Shell, mill: Mill) -> None:
    mill.app.storage.jobs.add([a_job("a"), a_job("b"), a_job("c")])

    shell("jobs", "cancel", "a", "gone")
    shell("jobs", "retry", "a", "b")
    shell("purge", "--yes", "--queue", "default")
    shell("jobs", "list")

    noted = [deed for _, deed in mill.app.storage.audit.page(limit=9).deeds]
    assert [(deed.what, deed.subject, deed.number) for deed in reversed(noted)] == [
        ("cancel", "a", 1),
        ("cancel", "gone", 0),
        ("retry", "a", 1),
        ("retry", "b", 0),
        ("purge of waiting jobs", "default", 3),
    ]
    assert {deed.who for deed in noted} == {getpass.getuser()}
    assert all(deed.origin.startswith("terminal of ") for deed in noted)


def test_what_is_interrupted_is_noted_as_far_as_it_came(
    shell: Shell, mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    mill.app.storage.jobs.add([a_job("a"), a_job("b"), a_job("c")])
    delete, left = steering.delete, iter([True, True])

    def interrupted(app: Application, job_ids: Sequence[str]) -> int:
        if not next(left, False):
            raise KeyboardInterrupt
        return delete(app, job_ids)

    monkeypatch.setattr(steering, "delete", interrupted)

    assert shell("jobs", "delete", "--all", "--yes")[0] == exit_code.INTERRUPTED

    [(_, deed)] = mill.app.storage.audit.page(limit=9).deeds
    assert (deed.what, deed.number) == ("delete", 2)


def test_a_user_without_a_name_is_a_number(shell: Shell, mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    mill.app.storage.jobs.add([a_job("a")])

    assert shell("jobs", "cancel", "a")[0] == 0

    [(_, deed)] = mill.app.storage.audit.page(limit=9).deeds
    assert deed.who == f"user {os.getuid()}"


def test_so_is_what_is_done_to_many_and_to_queues(shell: Shell, mill: Mill) -> None:
    mill.app.storage.jobs.add([a_job("a"), a_job("b")])

    shell("jobs", "cancel", "--queue", "default", "--yes")
    shell("jobs", "delete", "--all", "--yes")
    shell("queues", "pause", "mail")

    noted = [deed for _, deed in mill.app.storage.audit.page(limit=9).deeds]
    assert [(deed.what, deed.subject, deed.number) for deed in reversed(noted)] == [
        ("cancel", "jobs with states=blocked,queued,running, queue=default", 2),
        ("delete", "jobs with states=blocked,queued,cancelled,failed,succeeded", 2),
        ("pause", "mail", 1),
    ]
