"""Load with kills for as long as asked: ``python3 dev.py soak``."""

from taskmill.errors import StoreBusy, StoreUnavailable

LEASE = 2.0
"""Seconds after which a tree that stands still is taken for dead."""
AWAY = (StoreBusy, StoreUnavailable)
"""Who is stopped in the middle of a write keeps all others of a file waiting; a server that was killed is away."""
