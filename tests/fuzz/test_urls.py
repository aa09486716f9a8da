"""URLs of stores: any text is an InvalidURL, a store that works, or one that says why it cannot be used."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from taskmill import Mill
from taskmill._storage.open import open_storage
from taskmill._storage.urls import shown
from taskmill.errors import InvalidURL, StoreError
from tests.fuzz.damage import damaged

urls = st.sampled_from(
    [
        "sqlite:///jobs.db",
        "sqlite:///jobs.db?durability=normal&timeout=0.01",
        "SQLITE:///a/b%20c/jobs.db?timeout=1",
        "sqlite:///./../jobs.db",
        "memory://",
        "postgresql://user:secret@host/jobs",
        "redis://:secret@host:6379/0",
    ]
)
scraps = [
    "%00",
    "%ff",
    "%2e%2e",
    "%2F",
    "?",
    "&",
    "=",
    "timeout=",
    "1e300",
    "nan",
    "durability",
    "://",
    "@",
    "..",
    "~",
    "x" * 300,
]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damaged(urls, scraps))
@example("sqlite:///jobs.db?timeout=1e300")
@example("sqlite:///a%00b")
@example("sqlite:///\x00")
@example("sqlite:///\ud800")
@example("sqlite:///" + "x" * 300)
@example("sqlite:///.")
@example("sqlite:///..")
@example("sqlite:///jobs.db-wal")
@example("postgresql:///user:secret@host/jobs")
@example("://us/er\n:secret@host")
def test_any_text_is_refused_or_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    here = tmp_path / "a" / "b" / "c"
    here.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(here)
    if "://" in url.partition(":secret@")[0]:
        assert ":secret@" not in shown(url)
    try:
        storage = open_storage(url)
    except InvalidURL:
        return

    assert open_storage(storage.url).url == storage.url
    if not storage.url.startswith((f"sqlite:///{tmp_path}", "memory:")):
        return
    with closing(Mill(url)) as mill, suppress(StoreError):
        assert mill.task(name="nothing")(lambda: None).enqueue().state == "queued"
