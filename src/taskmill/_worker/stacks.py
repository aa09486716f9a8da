"""Where every thread and coroutine of a worker stands, with the job that it runs, for whoever wonders what hangs."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Iterator, Mapping
from itertools import dropwhile
from types import FrameType
from typing import Any

from taskmill._core.job import Claimed
from taskmill._worker.frames import frames_of_threads
from taskmill._worker.logbook import name_of

Stacks = Mapping[int, list[traceback.FrameSummary]]


def told(
    threads: Mapping[int, Claimed],
    coroutines: Mapping[Claimed, Any] = {},
    processes: Mapping[Claimed, int | None] = {},
) -> str:
    """What this process does, as text: first its jobs, then the rest, what only waits for jobs in a line each.

    Jobs in *threads* by the number of the thread; *coroutines* and the numbers of *processes* (None: not there yet)
    by job.
    """
    stacks = _stacks()
    at_work = {number: stack for number, stack in stacks.items() if number in threads}
    others = {number: stack for number, stack in stacks.items() if number not in threads}
    return "\n".join(
        [
            f"--- stacks of process {os.getpid()}",
            *_threads(at_work, threads),
            *_coroutines(coroutines),
            *_processes(processes),
            *_other_threads(others, is_loop_busy=bool(coroutines)),
            "---\n",
        ]
    )


def _stacks() -> dict[int, list[traceback.FrameSummary]]:
    return {number: _stack(frame) for number, frame in frames_of_threads().items()}


def _stack(innermost: FrameType) -> list[traceback.FrameSummary]:
    stack = traceback.StackSummary.extract(traceback.walk_stack(innermost))[::-1]
    return [*dropwhile(_is_beginning, stack)]


def _threads(stacks: Stacks, jobs: Mapping[int, Claimed]) -> Iterator[str]:
    names = _names()
    for number, stack in stacks.items():
        yield f"\nthread {names.get(number, number)}, {_said_of(jobs.get(number))}:"
        yield from _lines(stack)


def _other_threads(stacks: Stacks, *, is_loop_busy: bool) -> Iterator[str]:
    """Those of the application in full; of ours only that of coroutines, which one of them may block."""
    names = _names()
    ours = {number for number in stacks if names.get(number, "").startswith("taskmill-")}
    if is_loop_busy:
        ours = {number for number in ours if names[number] != "taskmill-loop"}
    yield from _threads({number: stacks[number] for number in stacks if number not in ours}, {})
    yield ""
    for number in sorted(ours, key=names.__getitem__):
        place = "".join(f": {at.filename}:{at.lineno} in {at.name}" for at in stacks[number][-1:])
        yield f"thread {names[number]}, no job{place}"


def _names() -> dict[int, str]:
    return {thread.ident: thread.name for thread in threading.enumerate() if thread.ident is not None}


def _processes(jobs: Mapping[Claimed, int | None]) -> Iterator[str]:
    for job, pid in jobs.items():
        which = (
            "a process that is being started" if pid is None else f"process {pid}, which tells its own stacks"
        )
        yield f"\n{which}, {_said_of(job)}"


def _coroutines(jobs: Mapping[Claimed, Any]) -> Iterator[str]:
    for job, coroutine in jobs.items():
        yield f"\ncoroutine, {_said_of(job)}:"
        frames = [(frame, frame.f_lineno) for frame in _frames(coroutine)]
        yield from _lines(list(traceback.StackSummary.extract(iter(frames))))


def _frames(awaited: Any) -> Iterator[FrameType]:
    """From the outermost coroutine to what it waits for in the end."""
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            return
        yield frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)


def _is_beginning(frame: traceback.FrameSummary) -> bool:
    """Whether it says no more than that there is a thread."""
    return frame.filename == threading.__file__ and frame.name in {"_bootstrap", "_bootstrap_inner", "run"}


def _said_of(job: Claimed | None) -> str:
    return "no job" if job is None else name_of(job)


def _lines(frames: list[traceback.FrameSummary]) -> Iterator[str]:
    for line in traceback.format_list(frames):
        yield line.rstrip("\n")
