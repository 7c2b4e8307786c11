"""An id for every request, in its log lines and in its answer."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from meterhouse.telemetry.request_id import HEADER, begin_request


class Identified:
    """`app`, with `X-Request-Id` in each answer: the request's own where that is sane, else a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = (HEADER, begin_request(scope["headers"]).encode())

        async def identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        await self._app(scope, receive, identified)
