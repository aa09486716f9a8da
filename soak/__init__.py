"""Load with kills for as long as asked: ``python3 dev.py soak``."""

LEASE = 2.0
"""Seconds after which a tree that stands still is taken for dead."""
