"""The spans of ingest: one for a request, and below it one for handing its events to the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from meterhouse.domain.event import Event
from meterhouse.telemetry.spans import (
    DESTINATION,
    MESSAGING,
    TRACEPARENT,
    TRACESTATE,
    Attributes,
    SpanKind,
    Spans,
    is_sampled,
    links_to,
    name_request,
    trace_context,
)

_SEND: Final = f"send {DESTINATION}"


def served_in_spans(app: ASGIApp, paths: frozenset[str], spans: Spans) -> ASGIApp:
    """`app`, with a server span around each request, in the trace that its headers name."""

    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in paths:  # any other would let a stranger choose the names of spans
            name_request(scope["method"], scope["path"])
        await app(scope, receive, send)

    return OpenTelemetryMiddleware(named, tracer_provider=spans.provider)


@contextmanager
def sending(events: Sequence[Event], spans: Spans) -> Iterator[Sequence[Event]]:
    """A span in which to append `events`; yields them with its context, where the request is sampled.

    Whoever sends a trace context of its own on an event keeps it (CloudEvents, Distributed Tracing: it tells
    the trace in which the event began), and the span links to it.
    """
    if not is_sampled():
        yield events
        return
    attributes: Attributes = {
        **MESSAGING,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": len(events),
    }
    links = links_to(event.attributes for event in events)
    with spans.span(_SEND, attributes, kind=SpanKind.PRODUCER, links=links):
        context = trace_context()
        yield [_stamped(event, context) for event in events]


def _stamped(event: Event, context: dict[str, str]) -> Event:
    if TRACEPARENT in event.attributes or TRACESTATE in event.attributes:
        return event
    return event._replace(attributes={**event.attributes, **context})
