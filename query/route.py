"""The route that all questions share: who asks comes first, and whatever goes wrong is answered in shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from meterhouse.adapters.http.authentication import authenticate
from meterhouse.adapters.http.errors import RequestTimeout, UnsupportedMediaType
from meterhouse.domain.errors import MeterhouseError, TooLarge
from query.backend import backend_of
from query.failures import answered

MAX_BODY_BYTES: Final = 1024 * 1024

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

# Only describes the key for OpenAPI: the route has checked it by the time that dependencies run.
_bearer = HTTPBearer(auto_error=False, scheme_name="apiKey", description="An API key of one merchant.")


class Route(APIRoute):
    """Authenticates before the body is read, so that a stranger learns nothing from a validation error."""

    takes_json = True

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def authenticated(request: Request) -> Response:
            try:
                request.state.merchant = await authenticate(request.headers, (await backend_of(request)).keys)
                if request.method in ("POST", "PATCH"):
                    if self.takes_json:
                        _require_json(request)
                    request = await _with_body(request)
                return await handle(request)
            except (MeterhouseError, HTTPException, RequestValidationError):
                raise
            except Exception as error:  # noqa: BLE001 - the last resort: a bug becomes a 500 in shape, and a log
                return answered(request, error)

        return authenticated


class RawRoute(Route):
    """Takes a body of any kind."""

    takes_json = False


def new_router(kind: type[Route] = Route) -> APIRouter:
    """A router of such routes."""
    return APIRouter(route_class=kind, dependencies=[Security(_bearer)])


def _require_json(request: Request) -> None:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType("send JSON with Content-Type: application/json")


async def whole_body(request: Request) -> bytes:
    """The request's body, which must be of bearable size. Raises TooLarge, RequestTimeout."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise TooLarge(f"the request body is over {MAX_BODY_BYTES} bytes")
    except ClientDisconnect as error:
        raise RequestTimeout("the request did not arrive whole") from error
    return bytes(body)


async def _with_body(request: Request) -> Request:
    """`request` with its whole body read."""
    message = {"type": "http.request", "body": await whole_body(request), "more_body": False}

    async def receive() -> dict[str, Any]:
        return message

    return _Exact(request.scope, receive)


class _Exact(Request):
    """A request whose fractions are read as exact Decimals."""

    async def json(self) -> Any:
        return json.loads(await self.body(), parse_float=Decimal)
