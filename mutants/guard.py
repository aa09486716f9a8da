"""A pytest plugin that ends the run unless the tests use the copy of taskmill that they are to judge."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


def pytest_collection_finish() -> None:
    """Compare once the tests are loaded, and taskmill with them."""
    loaded = Path(str(sys.modules["taskmill"].__file__)).resolve().parent
    if loaded != (meant := Path(os.environ["TASKMILL_UNDER_TEST"]).resolve()):
        pytest.exit(f"the tests loaded {loaded}, not {meant}", returncode=pytest.ExitCode.INTERNAL_ERROR)
