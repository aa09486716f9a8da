"""A worker process as the child of a supervisor: what it says, and what it does when it is told something."""

from __future__ import annotations

import faulthandler
import math
import os
import signal
import sys
import threading
from dataclasses import replace

from taskmill._app.application import Application
from taskmill._core.lifecycle import Settlement
from taskmill._worker.bond import be_called, take_signals
from taskmill._worker.line import Line
from taskmill._worker.messages import (
    Begin,
    Dump,
    Dumped,
    FromParent,
    Hello,
    Leaving,
    Ready,
    Stop,
    Told,
    WantsReplacement,
    Welcome,
)
from taskmill._worker.options import WorkerOptions
from taskmill._worker.place import Place
from taskmill._worker.report import harmless
from taskmill._worker.worker import Worker


class Child:
    """Made before the application is imported, so that it dies with its supervisor from then on."""

    def __init__(self, line: Line, *, max_jobs: int) -> None:
        self._line = line
        self._place = Place(serves="others", replace=self._want_out, pulse=line.say, max_jobs=max_jobs)
        self._has_begun = threading.Event()
        self._welcome = threading.Event()
        self._app: Application | None = None
        self._worker: Worker | None = None
        # For when Python itself hangs: the handler is in C and needs nothing of the interpreter.
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        # Before the first thread, which would pass on to all that it starts that they are held.
        take_signals()
        threading.Thread(target=self._listen, name="taskmill-line", daemon=True).start()

    def wait_to_begin(self) -> None:
        """Return when this process has its role, and the application may be imported; for the main thread."""
        be_called("taskmill spare")
        self._has_begun.wait()
        be_called("taskmill alone" if self._place.serves == "suspects" else "taskmill worker")

    def run(self, app: Application, options: WorkerOptions) -> None:
        """Work until told to stop, or in a burst until nothing is due; what ends the worker is raised."""
        if self._place.serves == "suspects":
            options = replace(options, threads=1, coroutines=1, process_slots=1, burst=True)
        self._app = app
        self._worker = Worker(app, options, self._place)
        self._line.say(Hello(app.storage.url, app.lease, len(app.tasks), len(app.periodics)))
        self._welcome.wait()
        self._worker.start()
        self._line.say(Ready())
        self._worker.finish()

    def leave(self, status: int) -> None:
        """Say that the end of this process, which follows, is no crash."""
        self._line.say(Leaving(status))

    def _want_out(self, reason: str, settlement: Settlement | None) -> None:
        self._line.say(WantsReplacement(reason, settlement))

    # --- in the thread that listens

    def _listen(self) -> None:
        while (messages := self._line.hear()) is not None:
            for message in messages:
                self._obey(message)
        # The supervisor is gone, and the kernel has not ended this process with it, as it does on Linux.
        os.kill(os.getpid(), signal.SIGKILL)

    def _obey(self, message: FromParent) -> None:
        match message:
            case Begin(role):
                self._place.serves = "suspects" if role == "solitary" else "others"
                self._has_begun.set()
            case Welcome(session):
                self._place.parent = session
                self._welcome.set()
            case Stop(grace):
                if self._worker is not None:
                    self._worker.stop_within(math.inf if grace is None else grace)
            case Told(notices):
                if self._app is not None:
                    with harmless():
                        self._app.tell_notices(notices)
            case Dump():
                self._dump()

    def _dump(self) -> None:
        if self._worker is not None:
            sys.stderr.write(self._worker.stacks())
            sys.stderr.flush()
            self._worker.dump_processes()
        self._line.say(Dumped())
