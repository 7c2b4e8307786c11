"""`GET /metrics` tells what the process did."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from meterhouse.domain.block import Table
from meterhouse.telemetry.instruments import NotifierInstruments
from tests import documents
from tests.api import Api, cloud_event
from tests.running import Server

# Of failures, of what is being done just now, and of webhooks (test_webhooks.py).
UNMOVED: Final = {
    *documents.names_of(NotifierInstruments),
    "meterhouse_aggregator_failures_total",
    "meterhouse_aggregator_dead_letters_total",
    "meterhouse_aggregator_unread_records",
    "meterhouse_aggregator_lag_seconds",
    "meterhouse_aggregator_partition_stopped",
    "meterhouse_aggregator_pending_since_timestamp_seconds",
}
INSTRUMENTS: Final = [name for kind in documents.INSTRUMENTS.values() for name in documents.names_of(kind)]


def samples(url: str) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus writes them."""
    response = httpx.get(url + "/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_metrics_count_what_was_accepted_refused_and_counted(server: Server, api: Api) -> None:
    metric = api.create_metric("metrics.seen", "SUM", valueProperty="$.v")
    before = samples(server.url)
    event = cloud_event("metrics.seen", "m1", {"v": 1})
    api.ingest(event, cloud_event("metrics.seen", "m2", {"v": "no"}), cloud_event("metrics.other", "m3", {}))
    api.ingest(event)
    assert httpx.post(server.url + "/v0/events", json={}).status_code == 401
    assert api.post_single({"type": "metrics.seen"}).status_code == 400
    assert api.total(metric["id"]) == 1
    assert httpx.get(server.url + "/v0/nothing/here").status_code == 404
    after = samples(server.url)

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert grown("meterhouse_ingest_accepted_events_total") == 4
    assert grown("meterhouse_ingest_request_events_count") == 2
    assert grown("meterhouse_ingest_append_seconds_count") == 2
    assert grown('meterhouse_ingest_refused_requests_total{reason="unauthorized"}') == 1
    assert grown('meterhouse_ingest_refused_requests_total{reason="validation_error"}') == 1
    for disposition in ("counted", "unmatched", "unusable"):
        assert grown(f'meterhouse_aggregator_events_total{{disposition="{disposition}"}}') == 1
    assert grown("meterhouse_aggregator_repeats_total") == 1
    assert grown('meterhouse_aggregator_counted_offset{partition="0"}') == 4
    assert after['meterhouse_aggregator_pending_since_timestamp_seconds{partition="0"}'] == 0
    asked = 'meterhouse_query_seconds_count{route="/v0/billableMetrics/{id}/meter",status="200"}'
    assert grown(asked) >= 1
    assert grown('meterhouse_query_seconds_count{route="unknown",status="404"}') == 1
    assert after["process_resident_memory_bytes"] > 0


def test_what_is_unusable_is_counted_by_reason(server: Server, api: Api) -> None:
    metric = api.create_metric("metrics.flawed", "SUM", valueProperty="$.v")
    users = api.create_metric("metrics.flawed", "UNIQUE_COUNT", valueProperty="$.u")
    before = samples(server.url)
    values: dict[str, list[dict[str, object]]] = {
        "missing": [{}, {"w": 1}],
        "not_a_number": [{"v": "no"}, {"v": None}, {"v": True}],
        "out_of_range": [{"v": 10**20}],
        "too_precise": [{"v": Decimal("0.0000000000000000001")}],
    }
    events: list[dict[str, object]] = [data for some in values.values() for data in some]
    api.ingest(*[cloud_event("metrics.flawed", f"f{i}", {**data, "u": "x"}) for i, data in enumerate(events)])
    api.ingest(cloud_event("metrics.flawed", "scalar", {"v": 1, "u": [1]}))
    assert api.total(metric["id"]) == api.total(users["id"]) == 1
    after = samples(server.url)
    values["not_a_scalar"] = [{"u": [1]}]
    for reason, some in values.items():
        name = f'meterhouse_aggregator_unusable_total{{reason="{reason}"}}'
        assert after[name] - before[name] == len(some), reason


def test_every_instrument_moves_but_those_of_failures(server: Server, api: Api) -> None:
    metric = api.create_metric("metrics.moved", "SUM", valueProperty="$.v")
    event = cloud_event("metrics.moved", "v1", {"v": 1})
    api.ingest(event, cloud_event("metrics.moved", "v2", {"v": "no"}))
    api.ingest(event)
    api.post_single({})
    assert api.total(metric["id"]) == 1
    after = samples(server.url)
    moved = {name.partition("{")[0] for name, value in after.items() if value > 0}
    shown = {name.partition("{")[0] for name in after}
    for instrument in INSTRUMENTS:
        names = {instrument, f"{instrument}_count"}
        assert names & shown, instrument
        assert names & moved or instrument in UNMOVED, instrument
    for pool in ("catalog", "clickhouse"):
        assert after[f'meterhouse_pool_wait_seconds_count{{pool="{pool}"}}'] > 0
    for table in Table:
        assert (
            after[f'meterhouse_aggregator_insert_seconds_count{{table="{table}"}}'] > 0 or "rollups" in table
        )
    assert time.time() - after['meterhouse_aggregator_counted_until_timestamp_seconds{partition="0"}'] < 600
