"""What the processes of the distributed form show of themselves: traces over Kafka, instruments, logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from tests import documents
from tests.api import Api, cloud_event
from tests.end_to_end.test_metrics import samples
from tests.otlp_collector import Collector
from tests.servers.distributed import Distributed

_SERVICES: Final = ("ingest", "aggregator", "query")
_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
_CALLER: Final = "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def observed(started: Distributed, collector: Collector) -> Distributed:
    """The installation with one process of each service, whose spans the collector gets."""
    started.put_right()
    for name in ("ingest-2", "aggregator-2"):
        started.stop(name)
    for service in _SERVICES:
        started.stop(f"{service}-1")
        started.start(f"{service}-1", ready=True, **collector.environment)
    return started


@pytest.fixture
def api(observed: Distributed) -> Iterator[Api]:
    with observed.api() as calls:
        yield calls


def test_a_trace_goes_over_kafka_from_one_process_to_another(api: Api, collector: Collector) -> None:
    metric = api.create_metric("traced", "COUNT")
    api.client.headers["traceparent"] = f"00-{_TRACE}-{_CALLER}-01"
    api.ingest(*[cloud_event("traced", f"t{number}") for number in range(20)])
    request = collector.wait_for(lambda one: one.name == "POST /api/v1/events" and one.trace == _TRACE)
    sending = collector.wait_for(lambda one: one.parent == request.id)
    assert (request.parent, request.service, sending.service) == (
        _CALLER,
        "meterhouse-ingest",
        request.service,
    )
    context = (_TRACE, sending.id)
    inserting = collector.wait_for(lambda one: one.name == "insert events" and context in one.links)
    assert inserting.service == "meterhouse-aggregator"
    assert api.total(metric["id"]) == 20
    asked = collector.wait_for(lambda one: one.name.startswith("GET ") and one.trace == _TRACE)
    assert asked.service == "meterhouse-query"
    statement = collector.wait_for(lambda one: one.name == "SELECT" and one.parent == asked.id)
    assert statement.service == "meterhouse-query"


def test_each_process_shows_its_own_instruments(observed: Distributed, api: Api) -> None:
    metric = api.create_metric("shown", "SUM", valueProperty="$.v")
    event = cloud_event("shown", "s1", {"v": 1})
    api.ingest(event, cloud_event("shown", "s2", {"v": "no"}))
    api.ingest(event)
    assert api.post_single({}).status_code == 400
    assert api.total(metric["id"]) == 1
    shown = {service: samples(observed.address(f"{service}-1")) for service in _SERVICES}
    for named, kind in documents.INSTRUMENTS.items():
        service = named.rpartition(", in the ")[2]
        for name in documents.names_of(kind):
            found = [one for one in _SERVICES if any(sample.startswith(name) for sample in shown[one])]
            assert found == ([service] if service in _SERVICES else list(_SERVICES)), name
    assert shown["ingest"]["meterhouse_ingest_accepted_events_total"] >= 3
    assert shown["ingest"]['meterhouse_ingest_refused_requests_total{reason="validation_error"}'] >= 1
    counted = shown["aggregator"]
    assert counted['meterhouse_aggregator_unusable_total{reason="not_a_number"}'] >= 1
    assert counted["meterhouse_aggregator_repeats_total"] >= 1
    pools = {
        "ingest": ["catalog"],
        "aggregator": ["catalog", "clickhouse"],
        "query": ["catalog", "clickhouse"],
    }
    for service, names in pools.items():
        for pool in names:
            assert shown[service][f'meterhouse_pool_wait_seconds_count{{pool="{pool}"}}'] > 0


def test_all_that_the_processes_say_is_json(observed: Distributed, api: Api) -> None:
    for service in _SERVICES:
        name = f"{service}-1"
        assert httpx.get(observed.address(name) + "/readyz").status_code == 200
        _, *lines = observed.words(name).splitlines()  # the first of what is kept may be cut
        for line in lines:
            if not line.startswith(f"meterhouse {service} is ready at"):
                assert json.loads(line).keys() >= {"timestamp", "level", "logger", "event"}, line
    assert '"event": "claimed"' in observed.words("aggregator-1")
