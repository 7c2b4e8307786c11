"""What the processes have in common: each is one service that listens at one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from meterhouse.adapters.http.errors import error_body
from meterhouse.adapters.http.health import Check, health_routes
from meterhouse.adapters.http.metrics import metrics_route
from meterhouse.adapters.http.server import (
    Server,
    Work,
    listening,
    serve_until_stopped,
    spare_the_collector,
    url_of,
)
from meterhouse.domain.errors import NotFound

Say = Callable[[str], None]


def plain_app(checks: Mapping[str, Check], registry: CollectorRegistry) -> Starlette:
    """Health and metrics, and for every other path a 404 in the contract's shape."""

    async def absent(_: Request, __: Exception) -> Response:
        status, body, headers = error_body(NotFound("there is nothing at this path"))
        return JSONResponse(body, status, headers)

    routes = [*health_routes(checks), metrics_route(registry)]
    return Starlette(routes=routes, exception_handlers={404: absent})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process listens, and how it tells."""

    host: str
    port: int
    say: Say


async def serve_at(name: str, app: ASGIApp, place: Place, *work: Work) -> None:
    """Answer with `app` and do the work until SIGTERM. Raises OSError where the port is taken."""
    with listening(place.host, place.port) as listener:

        def ready() -> None:
            place.say(f"meterhouse {name} is ready at {url_of(listener)}")

        spare_the_collector()
        await serve_until_stopped([Server(app, listener)], ready, work)
