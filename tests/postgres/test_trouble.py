"""Values that PostgreSQL cannot hold."""

from __future__ import annotations

import pytest

from taskmill._storage.open import open_storage
from taskmill.errors import StoreRefused
from tests.conformance.builders import a_job, states_of


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800"])
@pytest.mark.parametrize("others", [0, 1])
def test_a_text_that_it_cannot_hold_is_refused_and_nothing_is_cut_off(
    empty_postgres: str, text: str, others: int
) -> None:
    storage = open_storage(empty_postgres)

    with pytest.raises(StoreRefused, match="cannot hold this value"):
        storage.jobs.add([a_job(tags=text), *(a_job() for _ in range(others))])

    assert states_of(storage) == {}
    storage.close()
