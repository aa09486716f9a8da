"""One store for all that only look: filled once, with jobs in every state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill import Mill
from tests.web import shop
from tests.web.browser import Browser


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mill]:
    """A store that something happens in."""
    shop.mill.configure(f"sqlite:///{tmp_path_factory.mktemp('shop') / 'shop.db'}?durability=normal")
    shop.fill(shop.mill)
    with shop.at_work(shop.mill):
        yield shop.mill
    shop.mill.close()


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
