"""Lets the subjects take turns, each measurement in a process and a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired

from bench.figure import PAUSED_SYNC, SYNC, Measurement, Medians
from bench.machine import pause, sync_time
from bench.site import Numbers
from bench.statistic import median
from bench.subjects import SUBJECTS

PATIENCE = 300.0
QUICK = 0.1
"""The scale that is enough to see that all works."""


class NotMeasuredError(Exception):
    """A measurement failed; the message says why."""


class Run:
    """What was measured so far; `failures` are by subject, each with what was complained of last."""

    def __init__(self) -> None:
        self.failures: dict[str, str] = {}
        self._samples: dict[tuple[str, str], list[float]] = defaultdict(list)

    def measure(self, measurements: Iterable[Measurement], *, rounds: int, scale: float) -> None:
        """Measure round by round: the speed of a machine drifts, and all subjects shall have their part of it."""
        plan = [
            (each, subject)
            for each in measurements
            for subject in each.subjects
            if SUBJECTS[subject].is_at_hand()
        ]
        for turn in range(1, rounds + 1):
            self._samples["", SYNC].append(sync_time())
            self._samples["", PAUSED_SYNC].append(sync_time(pause))
            for measurement, subject in plan:
                print(f"{turn}/{rounds} {measurement.name}, {subject}: ", end="", file=sys.stderr, flush=True)
                print(self._measure(measurement, subject, scale), file=sys.stderr, flush=True)

    @property
    def medians(self) -> Medians:
        """By subject and figure; the sync time, which is of no subject, under ""."""
        return {key: median(samples) for key, samples in self._samples.items()}

    def _measure(self, measurement: Measurement, subject: str, scale: float) -> str:
        """Keep the numbers, and return what to say of them."""
        try:
            numbers = measure(measurement.name, subject, scale)
        except NotMeasuredError as error:
            self.failures[subject] = str(error).splitlines()[-1]
            return f"failed\n{error}"
        for figure in measurement.figures:
            if figure.name in numbers:
                self._samples[subject, measurement.key(figure)].append(numbers[figure.name])
        return ", ".join(f"{name} {value:,.4g}" for name, value in numbers.items())


def measure(name: str, subject: str, scale: float) -> Numbers:
    """The numbers of one measurement of one subject."""
    with tempfile.TemporaryDirectory(prefix="taskmill-bench-", ignore_cleanup_errors=True) as folder:
        arguments = ["bench.child", name, subject, folder, str(scale)]
        child = SUBJECTS[subject].start(arguments, stdout=PIPE, stderr=PIPE, start_new_session=True)
        try:
            answer, complaint = child.communicate(timeout=PATIENCE)
        except TimeoutExpired:
            answer, complaint = "", f"it took more than {PATIENCE:g} s"
        finally:
            _end_group(child)
        if not answer:
            logs = [path.read_text() for path in Path(folder).rglob("worker.log")]
            raise NotMeasuredError("\n".join([*logs, complaint]).strip())
        numbers: Numbers = json.loads(answer)
        return numbers


def _end_group(child: Popen[str]) -> None:
    """The child, and all processes that it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
