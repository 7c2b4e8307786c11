"""What spans link to, and which are recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler

from meterhouse.telemetry.otlp import SampledWithItsLinks
from meterhouse.telemetry.spans import MAX_LINKS, Spans, is_sampled, links_to, trace_context

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def traceparent(span: int, *, flags: str = "01") -> dict[str, object]:
    return {"traceparent": f"00-{_TRACE}-{span:016x}-{flags}"}


def test_a_context_is_linked_to_once() -> None:
    links = links_to([traceparent(1), traceparent(2), traceparent(1)])
    assert [link.context.span_id for link in links] == [1, 2]
    assert {f"{link.context.trace_id:032x}" for link in links} == {_TRACE}


def test_the_state_of_a_trace_is_kept() -> None:
    [link] = links_to([{**traceparent(1), "tracestate": "vendor=1"}])
    assert link.context.trace_state.to_header() == "vendor=1"


def test_links_are_bounded_and_looked_for_no_further() -> None:
    asked = iter(range(1, 100 * MAX_LINKS))
    links = links_to(traceparent(span) for span in asked)
    assert [link.context.span_id for link in links] == list(range(1, MAX_LINKS + 1))
    assert next(asked) == MAX_LINKS + 1


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"tracestate": "a=1"},
        traceparent(1, flags="00"),
        traceparent(0),
        {"traceparent": 5},
        {"traceparent": ""},
        {"traceparent": f"ff-{_TRACE}-{1:016x}-01"},
        {"traceparent": "x" * 10_000},
    ],
)
def test_what_names_no_recorded_span_is_not_linked_to(attributes: dict[str, object]) -> None:
    assert links_to([attributes]) == []


@pytest.mark.parametrize(
    ("sampler", "linked", "recorded"),
    [(ALWAYS_OFF, True, True), (ALWAYS_OFF, False, False), (ALWAYS_ON, False, True)],
)
def test_a_batch_that_counts_a_recorded_event_is_recorded(
    sampler: Sampler, linked: bool, recorded: bool
) -> None:
    spans, exported = _recording(SampledWithItsLinks(ParentBased(sampler)))
    with spans.span("batch", links=links_to([traceparent(1)]) if linked else ()):
        assert is_sampled() is recorded
        with spans.span("insert"):
            assert is_sampled() is recorded
    assert [span.name for span in exported()] == (["insert", "batch"] if recorded else [])


def test_a_link_does_not_record_what_its_own_trace_does_not() -> None:
    spans, exported = _recording(SampledWithItsLinks(ParentBased(ALWAYS_OFF)))
    with spans.span("request"), spans.span("send", links=links_to([traceparent(1)])):
        assert not is_sampled()
    assert exported() == ()


def test_without_a_provider_nothing_is_made() -> None:
    spans = Spans()
    with spans.span("batch"), spans.statement("SELECT", {}):
        assert not is_sampled()
        assert trace_context() == {}


def test_a_statement_outside_of_any_span_is_none() -> None:
    spans, exported = _recording(ParentBased(ALWAYS_ON))
    with spans.statement("SELECT", {}):
        assert not is_sampled()
    assert exported() == ()


def _recording(sampler: Sampler) -> tuple[Spans, Callable[[], Sequence[ReadableSpan]]]:
    kept = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return Spans(provider), kept.get_finished_spans
