"""`GET /metrics` in Prometheus' text format, and how long a service takes to answer."""

from __future__ import annotations

import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from meterhouse.telemetry.instruments import QueryInstruments


def metrics_route(registry: CollectorRegistry) -> Route:
    """A route that shows every instrument of `registry`."""

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    return Route("/metrics", metrics)


class Measured:
    """`app`, with each answer's route, status and seconds observed."""

    def __init__(self, app: ASGIApp, instruments: QueryInstruments) -> None:
        self._app = app
        self._instruments = instruments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = "none"

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, observed)
        finally:
            # A path that no route knows must not become a label: whoever asks would choose the labels.
            route = getattr(scope.get("route"), "path", "unknown")
            self._instruments.seconds.labels(route, status).observe(time.perf_counter() - began)
