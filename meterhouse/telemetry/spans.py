"""Spans: the only place where services meet OpenTelemetry's API. Without a provider there are none.

Trace context travels between processes as W3C Trace Context: in HTTP headers, and on events as the
attributes of CloudEvents' Distributed Tracing extension.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    SpanKind,
    TracerProvider,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

__all__ = ["Link", "SpanKind", "TracerProvider"]

# Attributes of CloudEvents' Distributed Tracing extension, named like the headers of W3C Trace Context.
TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
TRACE_CONTEXT: Final = (TRACEPARENT, TRACESTATE)

# The log, in the words of OpenTelemetry's conventions for messaging.
DESTINATION: Final = "meterhouse.events"
MESSAGING: Final = {"messaging.system": "meterhouse", "messaging.destination.name": DESTINATION}

# What OpenTelemetry's SDK keeps of a span's links by default.
MAX_LINKS: Final = 128

Attributes = Mapping[str, AttributeValue]

_propagator: Final = TraceContextTextMapPropagator()


class Spans:
    """Makes the spans of one process for `provider`; None makes none, at no cost but the question."""

    __slots__ = ("_tracer", "provider")

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self.provider = provider
        self._tracer = None if provider is None else provider.get_tracer("meterhouse", version("meterhouse"))

    @property
    def are_made(self) -> bool:
        return self._tracer is not None

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes | None = None,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
        began_at_ns: int | None = None,
    ) -> Iterator[None]:
        """What happens inside is a span, the child of whatever span it happens in.

        `began_at_ns`, in nanoseconds since 1970, is for one that began before its links were known.
        """
        if self._tracer is None:
            yield
            return
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, links=links, start_time=began_at_ns
        ):
            yield

    def past(self, name: str, began_at_ns: int, ended_at_ns: int, links: Sequence[Link] = ()) -> None:
        """A span that is over by now."""
        if self._tracer is not None:
            self._tracer.start_span(name, links=links, start_time=began_at_ns).end(ended_at_ns)

    @contextmanager
    def statement(self, name: str, attributes: Attributes) -> Iterator[None]:
        """A span of a call to a database, if it is made within another span: nobody asks for it alone."""
        if self._tracer is None or not get_current_span().get_span_context().is_valid:
            yield
            return
        with self.span(name, attributes, kind=SpanKind.CLIENT):
            yield


NO_SPANS: Final = Spans()


def is_sampled() -> bool:
    """Whether the current span is recorded, so that it is worth to tell others of it."""
    return get_current_span().get_span_context().trace_flags.sampled


def name_request(method: str, route: str) -> None:
    """Name the current server span for its route."""
    span = get_current_span()
    span.update_name(f"{method} {route}")
    span.set_attribute("http.route", route)


def trace_context() -> dict[str, str]:
    """The current span as `traceparent` and, where there is one, `tracestate`."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier


def links_to(contexts: Iterable[Mapping[str, object]]) -> list[Link]:
    """Links to the spans that such attributes name, each once and MAX_LINKS at most.

    A context that is not sampled was never recorded, and one that cannot be read names nothing: no links.
    """
    links: dict[tuple[int, int], Link] = {}
    for attributes in contexts:
        carrier = {name: text for name in TRACE_CONTEXT if isinstance(text := attributes.get(name), str)}
        if TRACEPARENT not in carrier:
            continue
        context = get_current_span(_propagator.extract(carrier, Context())).get_span_context()
        if context.is_valid and context.trace_flags.sampled:
            links.setdefault((context.trace_id, context.span_id), Link(context))
            if len(links) == MAX_LINKS:
                break
    return list(links.values())
