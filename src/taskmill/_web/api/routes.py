"""How requests of programs reach the operations of the table, and how what they return is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from taskmill._core.wording import nearest
from taskmill._web.api.document import document
from taskmill._web.api.schema import check, fields_of, is_list
from taskmill._web.api.shapes import LONGEST_NAME
from taskmill._web.api.table import ROOT, Operation, operations
from taskmill._web.guard import root_of
from taskmill._web.problem import Problem
from taskmill._web.visit import Visit
from taskmill.errors import StoreError, StoreRefused, TaskmillError

if TYPE_CHECKING:
    from taskmill._web.site import Site

_WHOLE = re.compile(r"-?[0-9]{1,18}")

DOCUMENT = f"{ROOT}/openapi.json"


def routes(site: Site) -> Iterator[Route]:
    """Those of the table, and of what describes it."""
    yield Route(DOCUMENT, _describe)
    # In this order: what follows the name of a queue is no part of it.
    for operation in sorted(operations(), key=lambda each: each.method, reverse=True):
        yield Route(ROOT + operation.path, _endpoint(site, operation), methods=[operation.method])


async def _describe(request: Request) -> Response:
    return _json(document(root_of(request)))


def _endpoint(site: Site, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        visit = Visit(site, request)
        return await site.in_thread(lambda: _answer(visit, operation))

    return endpoint


def _answer(visit: Visit, operation: Operation) -> Response:
    try:
        return _json(operation.handler(visit, **_taken(visit, operation)), operation.status)
    except Problem as problem:
        return problem.response()
    except StoreRefused as refused:
        return Problem(400, str(refused), "send a text that any store can hold").response()
    except StoreError as trouble:
        return Problem(503, str(trouble), "ask again in a while").response()
    except TaskmillError as error:
        return Problem(400, str(error), "change what that says").response()


def _taken(visit: Visit, operation: Operation) -> dict[str, Any]:
    """The arguments of the operation's function."""
    taken: dict[str, Any] = {name: _name(visit, name) for name in operation.names}
    if operation.query is not None:
        taken["query"] = _query(visit, operation.query)
    if operation.body is not None:
        taken["body"] = body = _read(visit.request.scope["taskmill.body"])
        check(operation.body, body, "the body")
    return taken


def _name(visit: Visit, name: str) -> str:
    value: str = visit.request.path_params[name]
    if len(value) > LONGEST_NAME:
        raise Problem(400, f"{name} has {len(value):,} characters", f"the most is {LONGEST_NAME:,}")
    return value


def _query(visit: Visit, kind: Any) -> dict[str, Any]:
    kinds = {name: annotation for name, annotation, _ in fields_of(kind)}
    found: dict[str, Any] = {}
    for name, text in visit.request.query_params.items():
        if name not in kinds:
            raise Problem(
                400, f"there is no {name!r} to ask by{nearest(name, kinds)}", f"there is: {', '.join(kinds)}"
            )
        found[name] = _value(kinds[name], text)
        check(kinds[name], found[name], name)
    return found


def _value(kind: Any, text: str) -> Any:
    """What an address says, for a field of that kind."""
    if is_list(kind):
        return text.split(",")
    return int(text) if int in get_args(kind) and _WHOLE.fullmatch(text) else text


def _read(body: bytes) -> Any:
    try:
        value = json.loads(body, parse_constant=_refuse)
        # Half of a surrogate pair is no text that could be stored.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Problem(400, "the body is no JSON", "send one object, in UTF-8") from None
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value, allow_nan=False), status, media_type="application/json")
