"""Two versions of a program at work on one store, each in processes of its own, as while a deploy is under way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from taskmill import Mill
from taskmill._core.job import Reason, State
from taskmill._core.record import Job
from tests.worker.builders import wait_for

OLD = """
    from taskmill import Mill
    mill = Mill("sqlite:///jobs.db")

    @mill.task
    def send(to, subject):
        return f"{subject} to {to}"

    @mill.task
    def tidy():
        return "tidied"
"""

NEW = """
    from taskmill import Mill
    mill = Mill("sqlite:///jobs.db")

    @mill.task
    def send(to, subject, copies):
        return f"{subject} to {to} and {copies}"

    @mill.task(aliases=["shop.tidy"])
    def clean():
        return "cleaned"

    @mill.task
    def greet(name):
        return f"hello {name}"
"""


class Site:
    """A folder that holds one version of the program at a time, as a server does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mill = Mill(f"sqlite:///{folder}/jobs.db")
        self._processes: list[subprocess.Popen[str]] = []

    def deploy(self, program: str) -> None:
        (self.folder / "shop.py").write_text(dedent(program))

    def enqueue(self, call: str) -> Job:
        """Let the version that is deployed enqueue a job."""
        done = self.run("-c", f"import shop; print(shop.{call}.id)")
        return self.job(done.strip())

    def taskmill(self, *words: str) -> str:
        return self.run("-m", "taskmill", *words, "--url", "sqlite:///jobs.db")

    def run(self, *words: str) -> str:
        return self.start(*words).communicate(timeout=45)[0]

    def start(self, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=self.folder,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._processes.append(process)
        return process

    def work(self, *options: str) -> subprocess.Popen[str]:
        """Start a worker of the version that is deployed."""
        before = len(self.sessions())
        worker = self.start("-m", "taskmill", "worker", "shop:mill", *options)
        wait_for(lambda: len(self.sessions()) > before, "the worker has begun")
        return worker

    def sessions(self) -> list[int]:
        return [one.session for one in self.mill.app.storage.inspection.sessions()]

    def job(self, job_id: str) -> Job:
        return self.mill.result(job_id).job()

    def wait_until(self, job: Job, state: State) -> Job:
        wait_for(lambda: self.job(job.job_id).state is state, f"{job.task} is {state}")
        return self.job(job.job_id)

    def value(self, job: Job) -> object:
        return self.mill.result(job.job_id).get(timeout=45)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self.mill.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def test_a_task_that_only_the_new_version_has_waits_for_a_worker_of_it(site: Site) -> None:
    site.deploy(OLD)
    site.work()
    site.deploy(NEW)
    job = site.enqueue("greet.enqueue('ann')")
    wait_for(lambda: site.job(job.job_id).fence >= 1, "the old worker has given it back")
    before = site.job(job.job_id)
    site.work()

    assert site.value(job) == "hello ann"
    assert before.attempt <= 1
    assert site.job(job.job_id).attempt == 1


def test_a_task_that_was_renamed_runs_what_was_enqueued_under_its_old_name(site: Site) -> None:
    site.deploy(OLD)
    job = site.enqueue("tidy.enqueue()")
    site.deploy(NEW)
    site.work()

    assert site.value(job) == "cleaned"


def test_arguments_of_an_older_version_fail_their_job_and_can_be_retried_after_the_next_deploy(
    site: Site,
) -> None:
    site.deploy(OLD)
    job = site.enqueue("send.using(retries=5).enqueue('ann', subject='news')")
    site.deploy(NEW)
    worker = site.work()
    failed = site.wait_until(job, State.FAILED)

    assert (failed.reason, failed.attempt) == (Reason.MISFIT, 1)
    assert failed.error is not None
    assert failed.error.type == "taskmill.errors.InvalidArguments"
    assert "shop.send(to, subject, copies): missing a required argument: 'copies'" in failed.error.message
    assert f"`taskmill jobs retry {job.job_id}`" in failed.error.message

    worker.terminate()
    worker.wait()
    site.deploy(NEW.replace("subject, copies)", "subject, copies='nobody')"))
    site.work()
    assert "queued again" in site.taskmill("jobs", "retry", job.job_id)
    assert site.value(job) == "news to ann and nobody"


def test_the_command_line_stops_a_running_job(site: Site) -> None:
    site.deploy("""
        import time
        from taskmill import Mill
        mill = Mill("sqlite:///jobs.db")

        @mill.task(executor="process")
        def runs():
            time.sleep(1000)
        """)
    job = site.enqueue("runs.enqueue()")
    site.work()
    site.wait_until(job, State.RUNNING)

    assert "asked to stop" in site.taskmill("jobs", "cancel", job.job_id)
    assert site.wait_until(job, State.CANCELLED).reason == Reason.REVOKED
