"""A trace from the POST to the INSERT, as a collector sees it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest

from meterhouse.domain.block import Table
from tests.api import Api, cloud_event
from tests.otlp_collector import Collector, SentSpan
from tests.running import Server

_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
_CALLER: Final = "00f067aa0ba902b7"
_CREATED: Final = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


_STEPS: Final = (
    *("read", "find", "fold", "advance"),
    *(f"insert {table}" for table in Table if table is not Table.EVENT_REPEATS),
)


def _is(name: str, trace: str, span: SentSpan) -> bool:
    return (span.name, span.trace) == (name, trace)


def traceparent(trace: str, span: str, *, sampled: bool = True) -> str:
    return f"00-{trace}-{span}-{'01' if sampled else '00'}"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Server]:
    """A server that records what comes in a sampled trace, and nothing else."""
    env = collector.environment | {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}
    with Server(tmp_path_factory.mktemp("traces") / "data", env=env) as running:
        yield running


@pytest.fixture
def api(traced: Server) -> Iterator[Api]:
    with Api.of(traced) as calls:
        yield calls


def test_a_trace_goes_from_the_post_to_the_insert(api: Api, collector: Collector) -> None:
    metric = api.create_metric("traced", "SUM", valueProperty="$.v")
    api.client.headers["traceparent"] = traceparent(_TRACE, _CALLER)
    api.ingest(cloud_event("traced", "t1", {"v": 1}), cloud_event("traced", "t2", {"v": 2}))
    request = collector.wait_for(lambda one: one.name == "POST /api/v1/events" and one.trace == _TRACE)
    assert (request.parent, request.kind) == (_CALLER, 2)
    assert request.service == "meterhouse"
    assert request.attributes["http.response.status_code"] == 202
    sending = collector.wait_for(lambda one: one.name.startswith("send ") and one.trace == _TRACE)
    assert sending.parent == request.id
    assert sending.attributes["messaging.batch.message_count"] == 2
    context = (_TRACE, sending.id)
    batch = collector.wait_for(lambda one: one.name.startswith("process ") and context in one.links)
    assert (batch.parent, batch.kind, batch.links) == ("", 5, (context,))
    assert batch.trace != _TRACE
    for name in _STEPS:
        part = collector.wait_for(partial(_is, name, batch.trace))
        assert part.parent == batch.id
        assert part.links == (context,)
    inserting = collector.wait_for(partial(_is, "insert events", batch.trace))
    statement = collector.wait_for(lambda one: one.parent == inserting.id)
    assert statement.name == "INSERT"
    assert statement.attributes["db.system.name"] == "clickhouse"
    assert api.total(metric["id"]) == 3


def test_a_question_is_a_span_with_one_for_each_statement(api: Api, collector: Collector) -> None:
    metric = api.create_metric("asked", "COUNT")
    trace = "1" * 32
    api.client.headers["traceparent"] = traceparent(trace, _CALLER)
    assert api.total(metric["id"]) == 0
    asked = collector.wait_for(lambda one: one.trace == trace and one.parent == _CALLER)
    assert asked.name == "GET /v0/billableMetrics/{id}/meter"
    statement = collector.wait_for(lambda one: one.parent == asked.id)
    assert (statement.name, statement.kind) == ("SELECT", 3)
    assert "rollups" in str(statement.attributes["db.query.text"])


def test_an_event_s_own_trace_is_kept_and_linked_to(api: Api, collector: Collector) -> None:
    own = traceparent(*_CREATED)
    trace = "2" * 32
    api.client.headers["traceparent"] = traceparent(trace, _CALLER)
    api.ingest(cloud_event("own", "o1", {}, traceparent=own, tracestate="a=1"), cloud_event("own", "o2", {}))
    sending = collector.wait_for(lambda one: one.name.startswith("send ") and one.trace == trace)
    assert sending.links == (_CREATED,)
    batch = collector.wait_for(lambda one: one.name.startswith("process ") and _CREATED in one.links)
    assert set(batch.links) == {_CREATED, (trace, sending.id)}
    kept, added = (api.record(id)["event"] for id in ("o1", "o2"))
    assert (kept["traceparent"], kept["tracestate"]) == (own, "a=1")
    assert added["traceparent"] == traceparent(trace, sending.id)


def test_a_retry_in_another_trace_is_a_repeat_and_no_conflict(api: Api) -> None:
    metric = api.create_metric("retried", "SUM", valueProperty="$.v")
    for trace in ("3" * 32, "4" * 32):
        api.client.headers["traceparent"] = traceparent(trace, _CALLER)
        api.ingest(cloud_event("retried", "r1", {"v": 7}))
        api.ingest(cloud_event("retried", "r2", {"v": 5}, traceparent=traceparent(trace, _CREATED[1])))
    assert api.total(metric["id"]) == 12
    for id in ("r1", "r2"):
        assert api.record(id)["repeats"] == {"count": 1, "conflicts": []}


def test_a_trace_that_is_not_sampled_leaves_nothing_on_events_and_no_spans(
    api: Api, collector: Collector
) -> None:
    trace = "5" * 32
    api.client.headers["traceparent"] = traceparent(trace, _CALLER, sampled=False)
    api.ingest(cloud_event("unsampled", "u1", {}))
    assert "traceparent" not in api.record("u1")["event"]
    api.client.headers["traceparent"] = traceparent("6" * 32, _CALLER)
    api.ingest(cloud_event("unsampled", "u2", {}))
    collector.wait_for(lambda one: one.trace == "6" * 32)
    assert [one for one in collector.spans() if one.trace == trace] == []


def test_without_a_collector_named_nothing_is_added_to_events(server: Server) -> None:
    with Api.of(server) as api:
        api.client.headers["traceparent"] = traceparent(_TRACE, _CALLER)
        api.ingest(cloud_event("untraced", "untraced-1", {}))
        assert "traceparent" not in api.record("untraced-1")["event"]


def test_a_collector_that_hangs_disturbs_nobody(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never says a word
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_BSP_SCHEDULE_DELAY": "10",
            "OTEL_BSP_MAX_QUEUE_SIZE": "16",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8",
        }
        with Server(tmp_path / "data", env=env) as server, Api.of(server) as api:
            metric = api.create_metric("hung", "COUNT")
            for number in range(50):
                api.ingest(cloud_event("hung", f"h{number}"))
            assert api.total(metric["id"]) == 50
            server.stop()  # within the time that SIGTERM is promised to take
        lines = [json.loads(line) for line in server.output.splitlines() if line.startswith("{")]
        assert {line["logger"] for line in lines} >= {"aggregator"}
        assert any("Queue full" in line["event"] for line in lines)


def test_a_collector_that_is_away_disturbs_nobody(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": "10"}
    with Server(tmp_path / "data", env=env) as server, Api.of(server) as api:
        metric = api.create_metric("away", "COUNT")
        api.ingest(cloud_event("away", "a1"))
        assert api.total(metric["id"]) == 1
        assert httpx.get(server.url + "/readyz").status_code == 200
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 10
