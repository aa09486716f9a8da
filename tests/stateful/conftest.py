"""For a long look: ``pytest tests/stateful --hypothesis-profile=long``."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("long", max_examples=3_000, stateful_step_count=80, deadline=None, print_blob=True)
