"""The description of the API, as OpenAPI 3.1, made from the table."""

from __future__ import annotations

import re
from importlib.metadata import version
from inspect import getdoc
from typing import Any

from taskmill._web.api.schema import Schema, fields_of, is_list, schema_of
from taskmill._web.api.shapes import LONGEST_NAME
from taskmill._web.api.table import ROOT, Operation, operations
from taskmill._web.guard import CSRF_HEADER
from taskmill._web.problem import MEDIA_TYPE

_PROBLEM: Schema = {
    "type": "object",
    "description": "Why a request was not answered: what was wrong (detail), and what to do next (advice).",
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "advice": {"type": "string"},
    },
    "required": ["title", "status", "detail", "advice"],
}
_REFUSALS = {
    "4XX": "It cannot be done, or not by you, or not in this way.",
    "503": "The store cannot be read just now; ask again.",
}


def document(root: str) -> dict[str, Any]:
    """All operations of a dashboard that is mounted at *root*."""
    shapes: dict[str, Schema] = {"Problem": _PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations():
        path = re.sub(r":path", "", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _told(operation, shapes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "taskmill",
            "version": version("taskmill"),
            "description": "What jobs are doing, and how to steer them.",
        },
        "servers": [{"url": f"{root}{ROOT}"}],
        "security": [{"token": []}, {"page": []}],
        "paths": paths,
        "components": {
            "schemas": shapes,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "a token of the dashboard"},
                "page": {
                    "type": "apiKey",
                    "in": "header",
                    "name": CSRF_HEADER,
                    "description": "with the cookies of who is signed in, for acts: what the forms of its pages hold",
                },
            },
        },
    }


def _told(operation: Operation, shapes: dict[str, Schema]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "summary": (getdoc(operation.handler) or "").partition("\n")[0],
        "operationId": f"{operation.handler.__module__.rpartition('.')[2]}.{operation.handler.__name__}",
        "parameters": [*map(_in_path, operation.names), *_in_query(operation, shapes)],
        "responses": {
            str(operation.status): {
                "description": "Done.",
                "content": {"application/json": {"schema": schema_of(operation.answer, shapes)}},
            },
            **{status: _refusal(description) for status, description in _REFUSALS.items()},
        },
    }
    if operation.body is not None:
        told["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of(operation.body, shapes)}},
        }
    return told


def _in_path(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(operation: Operation, shapes: dict[str, Schema]) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    return [
        {
            "name": name,
            "in": "query",
            "required": is_required,
            "schema": schema_of(annotation, shapes),
            # Several have commas between.
            **({"explode": False} if is_list(annotation) else {}),
        }
        for name, annotation, is_required in fields_of(operation.query)
    ]


def _refusal(description: str) -> dict[str, Any]:
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {"description": description, "content": {MEDIA_TYPE: problem}}
