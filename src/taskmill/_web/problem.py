"""What programs are told when something cannot be done: what was wrong, and what to do next (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """Why a request of a program is not answered: *detail* says what was wrong with it, *advice* what to do."""

    def __init__(self, status: int, detail: str, advice: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.advice = advice

    def response(self) -> Response:
        """As it is sent."""
        told = {
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "advice": self.advice,
        }
        return Response(json.dumps(told), self.status, media_type=MEDIA_TYPE)
