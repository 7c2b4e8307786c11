"""Failures as the contract shows them (1.1), whoever found them: us, FastAPI or Starlette."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response
from starlette.routing import Match

from meterhouse.adapters.http.errors import MethodNotAllowed, error_body
from meterhouse.domain.errors import Invalid, MeterhouseError, NotFound, Problem, Unavailable

_log: Final = structlog.get_logger("query")

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PLAIN_MESSAGES: Final = {
    "missing": "is required",
    "json_invalid": "is not valid JSON",
    "model_attributes_type": "must be a JSON object",
    "string_unicode": "is not valid Unicode",
    "extra_forbidden": "is not known here; look at how it is written",
}


def answer_to(error: Exception) -> Response:
    """The answer that `error` deserves."""
    status, body, headers = error_body(error)
    # ASCII, because a refused text may hold what UTF-8 cannot: a lone surrogate.
    content = json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()
    return Response(content, status, headers=headers, media_type="application/json")


def answered(request: Request, error: Exception) -> Response:
    """The answer that `error` deserves; the log hears of those that are not the caller's fault."""
    response = answer_to(error)
    if response.status_code >= 500:
        line = {"method": request.method, "path": request.url.path, "status": response.status_code}
        if isinstance(error, Unavailable):
            _log.warning("question not answered", **line, error=repr(error))
        else:
            _log.error("request failed", **line, error=repr(error), exc_info=error)
    return response


def handle_failures(app: FastAPI) -> None:
    """Answer every failure of `app` in shape; the unexpected ones are the routes' own business."""
    app.add_exception_handler(MeterhouseError, _on_ours)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(StarletteHTTPException, _on_http)


async def _on_ours(request: Request, error: Exception) -> Response:
    return answered(request, error)


async def _on_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = tuple([problem_of(one) for one in error.errors()])
    message = "; ".join([f"{problem.field}: {problem.message}" for problem in problems[:5]])
    return answer_to(Invalid(message, problems))


def problem_of(found: Mapping[str, Any]) -> Problem:
    """One of pydantic's findings: where it is in the request's own words, and what to do about it."""
    kind: str = found["type"]
    place = [part for part in found["loc"][1:] if not str(part).startswith("[")]  # of pydantic's own
    field = "body" if kind == "json_invalid" or not place else ".".join(map(str, place))
    message = _PLAIN_MESSAGES.get(kind) or str(found["msg"]).removeprefix("Value error, ")
    return Problem(field, message, "required" if kind == "missing" else "invalid")


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    match error.status_code:
        case 404:
            return answer_to(NotFound(f"there is nothing at {request.url.path}"))
        case 405:
            return answer_to(MethodNotAllowed(_allowed(request)))
        case 400:
            return answer_to(Invalid.field("body", "is not valid JSON"))
    return answer_to(error)


def _allowed(request: Request) -> tuple[str, ...]:
    """Every method of the path; the router itself only names those of the first route there."""
    routes = request.app.router.routes
    return tuple(
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    )
