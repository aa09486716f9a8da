"""A module of tasks for all executors, written anew for each test: a process has to be able to import it."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from textwrap import dedent
from types import ModuleType

_numbers = itertools.count()

START = """
    import asyncio
    import os
    import signal
    import threading
    import time

    from taskmill import CancelRequested, Context, Mill, SoftTimeout, current_job

    mill = Mill({url!r}, lease=30)

    def note(*words):
        "One write with O_APPEND is not torn, and it survives SIGKILL."
        descriptor = os.open({notes!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, (" ".join(map(str, words)) + "\\n").encode())
        os.close(descriptor)
"""

# For each executor: {name}, {executor}, {async_}, {await_}, {sleep}.
BODY = """
    @mill.task(name="{name}.returns", executor={executor!r})
    {async_}def {name}_returns(number):
        return 2 * number, os.getpid()

    @mill.task(name="{name}.raises", executor={executor!r})
    {async_}def {name}_raises():
        raise ValueError("boom")

    @mill.task(name="{name}.looks", executor={executor!r})
    {async_}def {name}_looks(context: Context):
        same = current_job() is context
        return context.id, context.attempt, context.headers, context.cancel_requested, context.lost, same

    @mill.task(name="{name}.runs", executor={executor!r})
    {async_}def {name}_runs():
        try:
            note("start", "{name}")
            {await_}{sleep}(60)
        finally:
            note("cleanup", "{name}")

    @mill.task(name="{name}.soft", executor={executor!r}, soft_timeout=0.3, timeout=30, retries=1, retry_delay=0)
    {async_}def {name}_soft():
        try:
            {await_}{sleep}(60)
        except SoftTimeout:
            note("told", "{name}")
            raise

    @mill.task(name="{name}.saves", executor={executor!r}, soft_timeout=0.3)
    {async_}def {name}_saves():
        try:
            {await_}{sleep}(60)
        except SoftTimeout:
            return "what there is"

    @mill.task(name="{name}.hard", executor={executor!r}, timeout=0.3, retries=1, retry_delay=0)
    {async_}def {name}_hard():
        note("start", "{name}")
        {await_}{sleep}(60)

    @mill.task(name="{name}.goes_on", executor={executor!r}, soft_timeout=0.3, timeout=1)
    {async_}def {name}_goes_on():
        try:
            {await_}{sleep}(60)
        except SoftTimeout:
            note("told", "{name}")
            {await_}{sleep}(60)
"""

END = """
    def _sleep(seconds):
        "A thread is told between two steps of Python code: not in one long wait."
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.005)
"""

FORMS = {
    "thread": {"async_": "", "await_": "", "sleep": "_sleep"},
    "asyncio": {"async_": "async ", "await_": "await ", "sleep": "asyncio.sleep"},
    "process": {"async_": "", "await_": "", "sleep": "time.sleep"},
}
EXECUTORS = list(FORMS)


def written(folder: Path, more: str = "", *, url: str = "") -> ModuleType:
    """The module, imported here; the current folder of a worker need not be *folder*."""
    name = f"book_{next(_numbers)}"
    url = url or f"sqlite:///{folder}/jobs.db"
    parts = [START.format(url=url, notes=str(folder / "notes"))]
    parts += [BODY.format(name=kind, executor=kind, **form) for kind, form in FORMS.items()]
    text = "".join(dedent(part) for part in (*parts, END, more))
    (folder / f"{name}.py").write_text(text)
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
