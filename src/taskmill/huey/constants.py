"""Huey's constants."""

from __future__ import annotations

WORKER_THREAD = "thread"
WORKER_GREENLET = "greenlet"
WORKER_PROCESS = "process"
WORKER_TYPES = (WORKER_THREAD, WORKER_GREENLET, WORKER_PROCESS)
