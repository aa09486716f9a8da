"""What taskmill gets from Python and the system, replaced by the simulated machine while a simulation runs.

Nothing that taskmill itself does is done by something else: only threads, clocks, chance, the identity and the death
of processes are, and the places where the store is entered have gates (`stores/`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from queue import Empty
from types import ModuleType, SimpleNamespace
from typing import Any, Generic, TypeVar
from unittest.mock import patch

from simulation.host import Host
from simulation.scheduler import Condition, Event, Lock, Scheduler, Semaphore, Thread
from simulation.stores.base import Machine
from simulation.world import World
from taskmill._app import context, holdings, notes, patience
from taskmill._storage import forks
from taskmill._worker import bell, child, interrupt, machine, outage, service, slot, worker
from taskmill._worker.executors import thread
from taskmill._worker.ticks import heartbeat, rescue

T = TypeVar("T")

_THREADED: list[ModuleType] = [holdings, notes, child, outage, service, slot, worker, thread]
_TIMED: list[ModuleType] = [
    context,
    patience,
    heartbeat,
    rescue,
    machine,
    outage,
    service,
    slot,
    worker,
    thread,
]
_RANDOM: list[ModuleType] = [machine, service]
_QUEUED: list[ModuleType] = [bell, thread]


class Queue(Generic[T]):
    """As `queue.SimpleQueue`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._items: list[T] = []

    def put(self, item: T) -> None:
        self._items.append(item)

    def empty(self) -> bool:
        return not self._items

    def get(self, timeout: float = math.inf) -> T:
        if not self._items:
            self._scheduler.wait(lambda: bool(self._items), timeout)
        return self.get_nowait()

    def get_nowait(self) -> T:
        if not self._items:
            raise Empty
        return self._items.pop(0)


@contextmanager
def replaced(world: World) -> Iterator[None]:
    """Let taskmill run on the simulated machine."""
    host = world.host
    scheduler = host.scheduler
    machine = Machine(
        _threading(scheduler),
        _time(host),
        _system(host),
        lambda: scheduler.process.identity,
        partial(_has_ended, host),
    )
    with ExitStack() as stack:

        def put(module: ModuleType, **things: Any) -> None:
            for name, thing in things.items():
                stack.enter_context(patch.object(module, name, thing))

        for module in _THREADED:
            put(module, threading=machine.threading)
        for module in _TIMED:
            put(module, time=machine.time)
        for module in _RANDOM:
            put(module, random=host.chance)
        for module in _QUEUED:
            put(module, SimpleQueue=partial(Queue, scheduler))
        put(interrupt, raise_in=scheduler.interrupt, take_back=partial(_take_back, scheduler))
        # Forks are real ones, and of this process.
        put(forks, watch=_nothing)
        # What a program does at its end, a process that is killed does not.
        put(worker, atexit=SimpleNamespace(register=_nothing, unregister=_nothing))
        put(holdings, weakref=SimpleNamespace(finalize=_nothing))
        put(child, faulthandler=SimpleNamespace(register=_nothing), os=machine.os)
        world.store.replace(world, machine, put)
        yield


def _take_back(scheduler: Scheduler) -> None:
    scheduler.interrupt(threading.get_ident(), None)


def _threading(scheduler: Scheduler) -> SimpleNamespace:
    def new_thread(**named: Any) -> Thread:
        named.pop("daemon")
        return Thread(scheduler, process=scheduler.process, **named)

    return SimpleNamespace(
        Thread=new_thread,
        Lock=partial(Lock, scheduler),
        RLock=partial(Lock, scheduler),
        Event=partial(Event, scheduler),
        Condition=partial(Condition, scheduler),
        BoundedSemaphore=partial(Semaphore, scheduler),
        get_ident=threading.get_ident,
        current_thread=lambda: scheduler.current,
        main_thread=_nothing,
        TIMEOUT_MAX=threading.TIMEOUT_MAX,
    )


def _time(host: Host) -> SimpleNamespace:
    def seconds() -> float:
        return host.monotonic() / 1e6

    return SimpleNamespace(
        monotonic=seconds,
        perf_counter=seconds,
        time_ns=lambda: host.wall() * 1_000,
        sleep=lambda pause: host.scheduler.wait(seconds=pause),
    )


def _system(host: Host) -> SimpleNamespace:
    return SimpleNamespace(
        getpid=lambda: host.scheduler.process.pid, kill=lambda _, status: host.crash(-status)
    )


def _nothing(*_: object, **__: object) -> None:
    pass


def _has_ended(host: Host, identity: str) -> bool:
    return all(process.identity != identity for process in host.processes)
