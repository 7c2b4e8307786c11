"""The ingest service as a bare ASGI application: every layer here would be paid for by every event."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import perf_counter
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from ingest.arrival import Arrival, ReceiveTimes
from ingest.body import Body, ClientGone, Receive
from ingest.limits import Limits, Waiting
from ingest.routes import ROUTES, Route
from meterhouse.adapters.cloudevents_json import encode
from meterhouse.adapters.http.authentication import merchant_of
from meterhouse.adapters.http.errors import Answer, MethodNotAllowed, error_body
from meterhouse.domain.errors import MeterhouseError, NotFound, Overloaded, Unavailable
from meterhouse.domain.position import render_positions
from meterhouse.ports import Clock, KeyRing, LogWriter
from meterhouse.telemetry.instruments import IngestInstruments

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

METHODS: Final = ("POST", "OPTIONS")

_log: Final = structlog.get_logger("ingest")
_encode_json: Final = msgspec.json.Encoder().encode
_CONTENT_TYPE: Final = (b"content-type", b"application/json")


class _Response(NamedTuple):
    status: int
    headers: RawHeaders
    body: bytes


def create_app(
    log: LogWriter,
    keys: KeyRing,
    clock: Clock,
    limits: Limits,
    instruments: IngestInstruments | None = None,
) -> Application:
    """`POST /v0/events` and `POST /api/v1/events` over `log`; every other path is a 404.

    Receive times grow strictly within one application, so a process has one.
    """
    waiting = Waiting(limits)
    times = ReceiveTimes(clock)
    shown = instruments or IngestInstruments(CollectorRegistry())

    async def accept(route: Route, scope: Scope, receive: Receive) -> _Response:
        waiting.enter()
        body = Body(receive, waiting, limits)
        try:
            headers = _headers(scope["headers"])
            authorization = headers.get(b"authorization")
            merchant = await merchant_of(
                None if authorization is None else authorization.decode("latin-1"), keys
            )
            plan = route.plan(headers, limits)
            text = await body.read(headers, plan.limit)
            events = plan.read(text, Arrival(merchant, limits, times.next))
            entries = [encode(event) for event in events]
            began = perf_counter()
            positions = await log.append(entries)
            shown.append_seconds.observe(perf_counter() - began)
        finally:
            waiting.leave(body.held)
        shown.accepted.inc(len(events))
        shown.request_events.observe(len(events))
        position = render_positions(positions)
        return _accepted(route.answer(events, position), position)

    async def respond(scope: Scope, receive: Receive) -> _Response:
        path: str = scope["path"]
        route = ROUTES.get(path.removeprefix(scope.get("root_path", "")))
        if route is None:
            raise NotFound("there is nothing at this path")
        if scope["method"] == "POST":
            return await accept(route, scope, receive)
        if scope["method"] == "OPTIONS":
            return _Response(204, [(b"allow", ", ".join(METHODS).encode())], b"")
        raise MethodNotAllowed(METHODS)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"ingest speaks HTTP, not {scope['type']}")
        try:
            response = await respond(scope, receive)
        except ClientGone:
            return
        except MeterhouseError as error:
            answer = error_body(error)
            shown.refused.labels(answer[1]["error"]).inc()
            response = _refused(error, answer)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer and we get the traceback
            shown.refused.labels("internal_error").inc()
            response = _failed(scope)
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})

    return application


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; the values of one that came several times joined as RFC 9110 (5.2) says."""
    pairs = list(raw)
    headers = dict(pairs)
    if len(headers) == len(pairs):
        return headers
    joined: dict[bytes, bytes] = {}
    for name, value in pairs:
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


def _accepted(body: bytes, position: str) -> _Response:
    length = (b"content-length", str(len(body)).encode())
    return _Response(202, [_CONTENT_TYPE, length, (b"meterhouse-position", position.encode())], body)


def _refused(error: MeterhouseError, answer: Answer) -> _Response:
    if isinstance(error, Unavailable) and not isinstance(error, Overloaded):
        _log.warning("events not accepted", error=repr(error))
    elif answer[0] >= 500 and not isinstance(error, Unavailable):
        _log.error("events not accepted", error=repr(error))
    return _rendered(answer)


def _failed(scope: Scope) -> _Response:
    """The answer to a request that met a bug; the request id joins it to the traceback in our log."""
    request_id = secrets.token_hex(8)
    _log.exception(
        "request failed", request_id=request_id, method=scope.get("method"), path=scope.get("path")
    )
    status, body, headers = error_body(RuntimeError())
    return _rendered((status, body, {**headers, "x-request-id": request_id}))


def _rendered(answer: Answer) -> _Response:
    status, document, extra = answer
    body = _encode_json(document)
    headers = [_CONTENT_TYPE, (b"content-length", str(len(body)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in extra.items()]
    return _Response(status, headers, body)
