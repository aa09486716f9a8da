"""Ids of jobs: nobody makes the same one twice, and they sort by the time they were made."""

from __future__ import annotations

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskmill._core.identity import made_at, new_job_id

MANY = 5_000


def make(count: int) -> list[str]:
    return [new_job_id() for _ in range(count)]


def test_it_is_a_uuid_of_version_7_with_the_time_at_which_it_was_made() -> None:
    before = time.time_ns() // 1_000_000

    job_id = new_job_id()
    made = uuid.UUID(job_id)

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000
    assert made_at(job_id) == (made.int >> 80) * 1_000


@pytest.mark.parametrize(
    "job_id",
    ["", "order-17", "266016a6-890c-4f27-acf5-bcee15d373ba", "01a22254-ce06-78ee-b0f3-c75f198d72d00"],
)
def test_when_another_id_was_made_nobody_knows(job_id: str) -> None:
    assert made_at(job_id) is None


def test_threads_never_make_the_same() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = [job_id for part in pool.map(make, [MANY] * 4) for job_id in part]

    assert len(set(made)) == 4 * MANY


def test_later_ones_sort_behind_earlier_ones() -> None:
    earlier = new_job_id()
    time_ns = time.time_ns()
    while time.time_ns() < time_ns + 1_000:
        pass

    assert earlier < new_job_id()


def test_a_forked_child_makes_others_than_its_parent() -> None:
    new_job_id()
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, "\n".join(make(20)).encode())
        os._exit(0)
    ours = make(20)
    os.wait()
    theirs = os.read(reading, 4096).decode().split("\n")
    os.close(reading)
    os.close(writing)

    # The part by chance; the time differs anyway.
    assert not {job_id[19:] for job_id in ours} & {job_id[19:] for job_id in theirs}
