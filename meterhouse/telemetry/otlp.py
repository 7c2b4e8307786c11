"""Spans to a collector over OTLP/HTTP. Imported only where tracing is on: the SDK is an extra.

Endpoint, headers, timeout, sampler, queue and service name are the SDK's own settings, the standard OTEL_*
variables; meterhouse.settings only decides whether it is on at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from threading import Thread
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

# What a process that stops gives the collector to take the last spans.
_LAST_SECONDS: Final = 3.0


@asynccontextmanager
async def exporting(service: str) -> AsyncIterator[TracerProvider]:
    """A provider whose spans leave in the background, from a queue that drops what does not fit.

    `service` is the service's name where OTEL_SERVICE_NAME gives no other.
    """
    ours = Resource({"service.name": service, "service.version": version("meterhouse")})
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.sampler = SampledWithItsLinks(provider.sampler)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield provider
    finally:
        # A collector that does not answer must not hold up the end of the process.
        ending = Thread(target=provider.shutdown, name="last-spans", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, _LAST_SECONDS)


class SampledWithItsLinks(Sampler):
    """Sample a new trace that links to sampled ones; leave every other decision to `sampler`.

    A batch counts events of many traces. Were it sampled by chance like them, one sampled request in a
    hundred would find the batch that counted it in one case of a hundred.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(  # noqa: PLR0917 - the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        is_root = not get_current_span(parent_context).get_span_context().is_valid
        if is_root and any(link.context.trace_flags.sampled for link in links or ()):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state)
        return self._sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        return f"SampledWithItsLinks({self._sampler.get_description()})"
