"""What only PostgreSQL can get into, on the system's and on the newest."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", params=["system", "newest"])
def postgres_url(request: pytest.FixtureRequest, postgres_url: str) -> str:
    """An empty database on each of the two."""
    if request.param == "system":
        return postgres_url
    return str(request.getfixturevalue("newest_postgres_url"))
