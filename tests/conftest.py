"""For a long look: ``pytest --long``, which docs/guarantees.md takes its figures from, and, where Hypothesis is at work
(tests/stateful, tests/fuzz), ``--hypothesis-profile=long``.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("long", max_examples=3_000, stateful_step_count=80, deadline=None, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="longer variants of the tests that have one; minutes"
    )


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether there is time."""
    return bool(request.config.getoption("--long"))
