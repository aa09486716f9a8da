"""``taskmill demo``: every promise of the README, made and checked on a fresh file, in half a minute."""

from taskmill._cli.demo.command import configure, run

__all__ = ["configure", "run"]
