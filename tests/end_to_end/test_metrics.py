"""`GET /metrics` tells what the process did."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.api import Api, cloud_event
from tests.running import Server


def samples(server: Server) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus writes them."""
    response = httpx.get(server.url + "/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_metrics_count_what_was_accepted_refused_and_counted(server: Server, api: Api) -> None:
    metric = api.create_metric("metrics.seen", "SUM", valueProperty="$.v")
    before = samples(server)
    event = cloud_event("metrics.seen", "m1", {"v": 1})
    api.ingest(event, cloud_event("metrics.seen", "m2", {"v": "no"}), cloud_event("metrics.other", "m3", {}))
    api.ingest(event)
    assert httpx.post(server.url + "/v0/events", json={}).status_code == 401
    assert api.post_single({"type": "metrics.seen"}).status_code == 400
    assert api.total(metric["id"]) == 1
    assert httpx.get(server.url + "/v0/nothing/here").status_code == 404
    after = samples(server)

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
