"""Where threads stand, asked without freezing the process."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from taskmill._worker.frames import frames_of_threads


@pytest.fixture(autouse=True)
def the_collector_as_it_was() -> Iterator[None]:
    yield
    gc.enable()


def test_each_thread_is_there_with_its_innermost_frame() -> None:
    frame = frames_of_threads()[threading.get_ident()]

    assert frame.f_code.co_name == "frames_of_threads"


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(is_enabled: bool) -> None:
    if not is_enabled:
        gc.disable()

    frames_of_threads()

    assert gc.isenabled() == is_enabled
