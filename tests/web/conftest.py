"""A store with a dashboard, by itself and in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill import Mill
from tests.web.browser import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def mill(tmp_path: Path) -> Iterator[Mill]:
    """A store of one's own."""
    store = Mill(f"sqlite:///{tmp_path / 'jobs.db'}?durability=normal")
    yield store
    store.close()


@pytest.fixture
def browser(mill: Mill) -> Browser:
    """A visitor who may do everything there."""
    return Browser(mill.dashboard(auth=None))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the system's browser is; without one, a run that must be complete fails."""
    found = next(filter(None, [os.environ.get("CHROMIUM"), *map(shutil.which, NAMES)]), None)
    if found is None:
        told = "there is no Chromium: install it, or set CHROMIUM to where it is"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(told)
    return found
