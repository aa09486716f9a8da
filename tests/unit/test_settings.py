"""The options that type checkers see are those that exist."""

from __future__ import annotations

from dataclasses import fields

from taskmill._app import options
from taskmill._app.settings import CallSettings, JobFields, TaskSettings
from taskmill._core.job import NewJob


def test_of_a_task() -> None:
    assert tuple(TaskSettings.__annotations__) == options.TaskOptions._fields


def test_of_a_call() -> None:
    assert set(CallSettings.__annotations__) == {*options._CALL_OPTIONS, "connection"}


def test_each_decides_a_field_of_the_job() -> None:
    known = {field.name for field in fields(NewJob)}

    assert set(JobFields.__annotations__) < known
    assert {field for field, _ in options._CALL_OPTIONS.values()} < known
