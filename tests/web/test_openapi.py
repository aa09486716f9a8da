"""The API is what its document says: asked all that this allows, and what it does not, by schemathesis."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from taskmill import Mill
from taskmill._web.access import Tokens
from taskmill._web.api.routes import DOCUMENT
from taskmill._web.api.table import operations
from taskmill._web.site import dashboard
from tests.conformance.builders import Worker, a_job, failed
from tests.web.browser import Browser

TOKEN = "operate-0123456789abcdef"
HEADERS = {"authorization": f"Bearer {TOKEN}", "host": "localhost"}
# What a call may say is for its task to decide, so that it may refuse what the document allows: not among these.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
)


@pytest.fixture(scope="module")
def site() -> Any:
    mill = Mill("memory://")
    mill.task(name="add")(lambda a, b: a + b)
    storage = mill.app.storage
    storage.jobs.add([a_job("a", tags='["x"]'), a_job("b", queue="b"), a_job("broken", priority=9)])
    worker = Worker(storage)
    worker.settle(worker.claim_one(), failed())
    storage.schedules.register(name="tidy", task="tidy", spec="every 3600")
    storage.limits.acquire("L", worker.session)
    return dashboard(mill.app, auth=Tokens({"operate": TOKEN}))


@pytest.fixture(scope="module")
def schema(site: Any) -> Any:
    # Here, since it takes half a second of every process that collects this file.
    import schemathesis  # noqa: PLC0415

    return schemathesis.openapi.from_asgi(DOCUMENT, site, headers=HEADERS)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[Callable[..., Any]]:
    from schemathesis.checks import CHECKS as KNOWN  # noqa: PLC0415  (as above)

    monkeypatch.setattr("taskmill._web.access.DELAY", 0)
    return KNOWN.get_by_names(CHECKS)


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize(
    "method, path",
    [(operation.method, operation.path.replace(":path", "")) for operation in operations()],
)
def test_an_operation_is_what_the_document_says(
    method: str, path: str, mode: str, schema: Any, checks: list[Callable[..., Any]]
) -> None:
    from schemathesis import GenerationMode  # noqa: PLC0415  (as above)

    @settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy(generation_mode=GenerationMode(mode)))
    def ask(case: Any) -> None:
        case.call_and_validate(headers=HEADERS, checks=checks)

    ask()


def test_the_document_names_all_that_it_refers_to(site: Any) -> None:
    answer = Browser(site, root="/ops").send("GET", DOCUMENT, headers=HEADERS)

    told = json.loads(answer.body)
    named = {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}
    referred = {part.partition('"')[0] for part in answer.body.split('"$ref": "')[1:]}
    assert named == referred
    assert told["servers"] == [{"url": "/ops/api/v1"}]
    ids = [each["operationId"] for path in told["paths"].values() for each in path.values()]
    assert len(ids) == len(set(ids)) == len([*operations()])
    assert all(each["summary"] for path in told["paths"].values() for each in path.values())
