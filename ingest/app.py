"""The ingest service as a bare ASGI application: every layer here would be paid for by every event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from time import perf_counter
from typing import Any, Final, NamedTuple

import msgspec
from prometheus_client import CollectorRegistry

from ingest.arrival import Arrival, ReceiveTimes
from ingest.body import Body, ClientGone, Receive
from ingest.failures import Failures
from ingest.limits import Limits, Waiting
from ingest.routes import PATHS, ROUTES, Route
from ingest.spans import sending, served_in_spans
from meterhouse.adapters.cloudevents_json import encode
from meterhouse.adapters.http.authentication import merchant_of
from meterhouse.adapters.http.errors import Answer, MethodNotAllowed, error_body
from meterhouse.domain.errors import NotFound
from meterhouse.domain.event import Event
from meterhouse.domain.position import Position, render_positions
from meterhouse.ports.catalog import KeyRing
from meterhouse.ports.clock import Clock
from meterhouse.ports.log import LogWriter
from meterhouse.telemetry.instruments import IngestInstruments
from meterhouse.telemetry.request_id import HEADER as REQUEST_ID
from meterhouse.telemetry.request_id import begin_request
from meterhouse.telemetry.spans import NO_SPANS, Spans

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

METHODS: Final = ("POST", "OPTIONS")

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
    *,
    spans: Spans = NO_SPANS,
) -> Application:
    """`POST /v0/events` and `POST /api/v1/events` over `log`; every other path is a 404.

    Receive times grow strictly within one application, so a process has one.
    """
    shown = instruments or IngestInstruments(CollectorRegistry())
    app = _Ingest(log, keys, ReceiveTimes(clock), limits, shown=shown, spans=spans)
    return served_in_spans(app, PATHS, spans) if spans.are_made else app


class _Ingest:
    """The application; an instance holds what its requests share."""

    def __init__(
        self,
        log: LogWriter,
        keys: KeyRing,
        times: ReceiveTimes,
        limits: Limits,
        *,
        shown: IngestInstruments,
        spans: Spans,
    ) -> None:
        self._log = log
        self._keys = keys
        self._times = times
        self._limits = limits
        self._shown = shown
        self._spans = spans
        self._waiting = Waiting(limits)
        self._failures = Failures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"ingest speaks HTTP, not {scope['type']}")
        request_id = begin_request(scope["headers"])
        try:
            response = await self._respond(scope, receive)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            response = self._refuse(scope, error)
        response.headers.append((REQUEST_ID, request_id.encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: Scope, receive: Receive) -> _Response:
        path: str = scope["path"]
        route = ROUTES.get(path.removeprefix(scope.get("root_path", "")))
        if route is None:
            raise NotFound("there is nothing at this path")
        if scope["method"] == "POST":
            return await self._accept(route, scope, receive)
        if scope["method"] == "OPTIONS":
            return _Response(204, [(b"allow", ", ".join(METHODS).encode())], b"")
        raise MethodNotAllowed(METHODS)

    async def _accept(self, route: Route, scope: Scope, receive: Receive) -> _Response:
        self._waiting.enter()
        body = Body(receive, self._waiting, self._limits)
        try:
            headers = _headers(scope["headers"])
            authorization = headers.get(b"authorization")
            merchant = await merchant_of(
                None if authorization is None else authorization.decode("latin-1"), self._keys
            )
            plan = route.plan(headers, self._limits)
            text = await body.read(headers, plan.limit)
            events = plan.read(text, Arrival(merchant, self._limits, self._times.next))
            if self._spans.are_made:
                with sending(events, self._spans) as stamped:
                    positions = await self._append(stamped)
            else:
                positions = await self._append(events)
        finally:
            self._waiting.leave(body.held)
        self._shown.accepted.inc(len(events))
        self._shown.request_events.observe(len(events))
        position = render_positions(positions)
        return _accepted(route.answer(events, position), position)

    async def _append(self, events: Sequence[Event]) -> tuple[Position, ...]:
        entries = [encode(event) for event in events]
        began = perf_counter()
        positions = await self._log.append(entries)
        self._shown.append_seconds.observe(perf_counter() - began)
        return positions

    def _refuse(self, scope: Scope, error: Exception) -> _Response:
        answer = error_body(error)
        status, body, _ = answer
        self._shown.refused.labels(body["error"]).inc()
        if status >= 500:
            self._failures.tell(scope, status, error)
        return _rendered(answer)


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


def _rendered(answer: Answer) -> _Response:
    status, document, extra = answer
    body = _encode_json(document)
    headers = [_CONTENT_TYPE, (b"content-length", str(len(body)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in extra.items()]
    return _Response(status, headers, body)
