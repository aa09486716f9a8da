"""Threads of which one runs at a time, chosen by chance from a seed: the same seed, the same order of everything.

A thread gives the turn away only where it waits: at a call of the store, for another thread, for time to pass.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from random import Random
from typing import Any, Self

from simulation.process import Process

# How much time a turn takes, in microseconds.
_SHORTEST_TURN, _LONGEST_TURN = 100, 3_000


class Killed(BaseException):
    """Ends a thread of a process that is dead; raised again at whatever the thread still tries."""


class Thread:
    """A thread of a simulated process; the part of `threading.Thread` that taskmill uses."""

    def __init__(
        self,
        scheduler: Scheduler,
        target: Callable[..., object],
        process: Process,
        args: tuple[Any, ...] = (),
        name: str = "",
    ) -> None:
        self.process = process
        self.name = name
        self.is_done = False
        self.is_over: Callable[[], bool] | None = None
        self.until = math.inf
        # It alone stands still until then, and the rest of its process goes on.
        self.goes_on_at = -math.inf
        # What it raises in the place of going on.
        self.interruption: type[BaseException] | None = None
        self._scheduler = scheduler
        self._target = target
        self._args = args
        self._turn = threading.Lock()
        self._turn.acquire()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._scheduler.adopt(self)
        self._thread.start()

    def join(self) -> None:
        if not self.is_done:
            self._scheduler.wait(lambda: self.is_done)

    def is_alive(self) -> bool:
        return not self.is_done

    def is_ready(self, now: float) -> bool:
        """Whether it could go on."""
        if now < max(self.goes_on_at, self.process.goes_on_at):
            return False
        return self.is_over is None or now >= self.until or self.is_over()

    def ready_at(self, now: float) -> float:
        """When it could go on, if nobody does anything meanwhile."""
        is_awaited = self.is_over is not None and not self.is_over()
        return max(now, self.goes_on_at, self.process.goes_on_at, self.until if is_awaited else now)

    @property
    def ident(self) -> int | None:
        """The number of the real thread behind it."""
        return self._thread.ident

    # --- the handshake

    def give_turn(self) -> None:
        self._turn.release()

    def await_turn(self) -> None:
        self._turn.acquire()

    def await_end(self) -> None:
        """Wait for the real thread behind it."""
        self._thread.join()

    def _run(self) -> None:
        self.await_turn()
        try:
            if self.process.is_alive:
                self._target(*self._args)
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001  (whatever it is, the run has to say so)
            self._scheduler.note_error(self, error)
        finally:
            self.is_done = True
            self._scheduler.take_turn_back()


class Scheduler:
    """Whose turn it is, and what time it is."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.now = 1_000_000_000  # of the monotonic clock, in microseconds
        self.turns = 0
        self.current: Thread | None = None
        self.error: BaseException | None = None
        self._threads: list[Thread] = []
        self._turn = threading.Lock()
        self._turn.acquire()

    @property
    def process(self) -> Process:
        """Whose code it is that runs now."""
        assert self.current is not None, "nobody has the turn"
        return self.current.process

    # --- the side of the threads

    def wait(self, is_over: Callable[[], bool] | None = None, seconds: float = math.inf) -> None:
        """Give the turn away, until *is_over* or so many seconds have passed; without both, until chance says so."""
        thread = self.current
        assert thread is not None, "nobody has the turn"
        self.require_life(thread.process)
        is_short = is_over is None and seconds == math.inf
        thread.is_over = None if is_short else is_over or _never
        thread.until = self.now + seconds * 1e6
        self.take_turn_back()
        thread.await_turn()
        self.require_life(thread.process)
        interruption, thread.interruption = thread.interruption, None
        if interruption is not None:
            raise interruption

    @staticmethod
    def require_life(process: Process) -> None:
        """What a dead process does has no effect any more."""
        if not process.is_alive:
            raise Killed

    def interrupt(self, ident: int, kind: type[BaseException] | None) -> None:
        """Let a thread raise *kind* where it stands; None: nothing after all."""
        for thread in self._threads:
            if thread.ident == ident:
                thread.interruption = kind

    def threads_of(self, process: Process) -> list[Thread]:
        return [thread for thread in self._threads if thread.process is process]

    def adopt(self, thread: Thread) -> None:
        self._threads.append(thread)

    def take_turn_back(self) -> None:
        self._turn.release()

    def note_error(self, thread: Thread, error: BaseException) -> None:
        error.add_note(f"in {thread.name} of {thread.process}")
        self.error = self.error or error

    # --- the side of who runs it all

    def step(self) -> None:
        """Let one thread go on that can; if none can, let time pass until one does."""
        self.turns += 1
        self.now += self.chance.randrange(_SHORTEST_TURN, _LONGEST_TURN)
        ready = self._ready()
        if not ready:
            self.now = max(self.now, self._next_instant())
            ready = self._ready()
        if ready:
            self._let_run(self.chance.choice(ready))

    def end_threads(self, process: Process) -> None:
        """Let the threads of a dead process come to their end."""
        for thread in self.threads_of(process):
            self._let_run(thread)
            assert thread.is_done, f"{thread.name} of {process} goes on after its death"

    def _ready(self) -> list[Thread]:
        return [thread for thread in self._threads if thread.is_ready(self.now)]

    def _next_instant(self) -> int:
        return math.ceil(min(thread.ready_at(self.now) for thread in self._threads))

    def _let_run(self, thread: Thread) -> None:
        self.current = thread
        thread.give_turn()
        self._turn.acquire()
        self.current = None
        if thread.is_done:
            thread.await_end()
            self._threads.remove(thread)


def _never() -> bool:
    return False


class Lock:
    """As `threading.Lock`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_held = False

    def acquire(self) -> bool:
        while self._is_held:
            self._scheduler.wait(lambda: not self._is_held)
        self._is_held = True
        return True

    def release(self) -> None:
        self._is_held = False

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


class Semaphore:
    """As `threading.BoundedSemaphore`."""

    def __init__(self, scheduler: Scheduler, value: int) -> None:
        self._scheduler = scheduler
        self._value = value

    def acquire(self, timeout: float = math.inf) -> bool:
        if not self._value:
            self._scheduler.wait(lambda: self._value > 0, timeout)
        is_acquired = self._value > 0
        self._value -= is_acquired
        return is_acquired

    def release(self) -> None:
        self._value += 1


class Event:
    """As `threading.Event`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float = math.inf) -> bool:
        if not self._is_set:
            self._scheduler.wait(self.is_set, timeout)
        return self._is_set


class Condition(Lock):
    """As `threading.Condition`; a wait may end without a reason, which is allowed."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self._calls = 0

    def wait(self, timeout: float = math.inf) -> None:
        calls = self._calls
        self.release()
        self._scheduler.wait(lambda: self._calls > calls, timeout)
        self.acquire()

    def notify_all(self) -> None:
        self._calls += 1
