"""What a worker answers over HTTP, as a WSGI application: for probes, for Prometheus, for autoscalers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from taskmill._worker.probes.store import Store
from taskmill._worker.supervisor import Supervisor
from taskmill.errors import StoreError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

logger = logging.getLogger("taskmill.supervisor")

_QUEUES = "/queues/"


class Answer(NamedTuple):
    """A status, and a text."""

    status: HTTPStatus
    text: str
    kind: str = "text/plain; charset=utf-8"


class Site:
    """Reads only; nothing that it says names an argument or a result of a job."""

    def __init__(self, supervisor: Supervisor, store: Store, version: str) -> None:
        self._supervisor = supervisor
        self._store = store
        self._version = version
        self._pages: dict[str, Callable[[], Answer]] = {
            "/healthz": self._health,
            "/readyz": self._readiness,
            "/metrics": self._metrics,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """As WSGI has it."""
        answer = self._answer(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        body = f"{answer.text}\n".encode()
        start_response(
            f"{answer.status.value} {answer.status.phrase}",
            [
                ("Content-Type", answer.kind),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
            ],
        )
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _answer(self, method: str, path: str) -> Answer:
        if method not in {"GET", "HEAD"}:
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, "this only answers GET")
        try:
            if path in self._pages:
                return self._pages[path]()
            if path.startswith(_QUEUES):
                # As WSGI passes it: the bytes, each as a letter.
                return self._queue(path.removeprefix(_QUEUES).encode("latin-1").decode(errors="replace"))
        except StoreError as error:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except Exception:
            logger.exception("%s %s cannot be answered", method, path)
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the log of the worker says why")
        return Answer(HTTPStatus.NOT_FOUND, f"there is {', '.join(self._pages)} and {_QUEUES}NAME")

    def _health(self) -> Answer:
        """Whether it should go on: a worker whose loops or heartbeat stand still is better started anew."""
        if silent := self._supervisor.silent():
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "\n".join(silent))
        return Answer(HTTPStatus.OK, self._supervisor.told())

    def _readiness(self) -> Answer:
        """Whether it takes jobs."""
        trouble = self._supervisor.told() if not self._supervisor.is_ready else self._store.trouble()
        if trouble:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, trouble)
        return Answer(HTTPStatus.OK, self._supervisor.told())

    def _metrics(self) -> Answer:
        try:
            from taskmill._worker.probes.metrics import Metrics  # noqa: PLC0415  (only who asks for them pays for it)
        except ModuleNotFoundError as error:
            return Answer(
                HTTPStatus.NOT_IMPLEMENTED,
                f"metrics need {error.name}, which is not installed: pip install 'taskmill[prometheus]'",
            )
        text = Metrics(self._supervisor, self._store, self._version).text()
        return Answer(HTTPStatus.OK, text, "text/plain; version=0.0.4; charset=utf-8")

    def _queue(self, name: str) -> Answer:
        survey = self._store.survey()
        if survey is None:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "the store cannot be asked from here, or not yet")
        return Answer(HTTPStatus.OK, json.dumps(survey.told(name)), "application/json")
