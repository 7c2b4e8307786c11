"""Whoever asks for much holds nobody up: answers are written beside the event loop."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest

from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.rollup import Reading
from tests.fakes_query import QueryService

pytestmark = pytest.mark.anyio

DAY = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}


@pytest.mark.parametrize(
    ("url", "accept"),
    [
        ("/v0/billableMetrics/{id}/meter", "application/json"),
        ("/api/v1/billable-metrics/{id}/usage", "application/json"),
        ("/api/v1/billable-metrics/{id}/usage", "text/csv"),
        ("/api/v1/billable-metrics/{id}/usage", "application/vnd.apache.arrow.stream"),
    ],
)
async def test_figures_are_written_on_another_thread(
    url: str, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = _watched(monkeypatch)
    service = QueryService()
    id = await service.metric()
    response = await service.client.get(url.format(id=id), params=DAY, headers={"accept": accept})
    assert response.status_code == 200, response.text
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("url", ["/api/v1/billable-metrics/{id}/usage/query", "/api/v1/usage/query"])
async def test_those_of_questions_in_a_body_are_too(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = _watched(monkeypatch)
    service = QueryService()
    id = await service.metric()
    body = {"queries": [{"billableMetricId": id, **DAY}]} if url == "/api/v1/usage/query" else DAY
    response = await service.client.post(url.format(id=id), json=body)
    assert response.status_code == 200, response.text
    assert threads
    assert threading.get_ident() not in threads


def _watched(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The threads on which figures were looked at for an answer."""
    threads: set[int] = set()
    value = Reading.value

    def watched(reading: Reading, aggregation: Aggregation) -> Decimal:
        threads.add(threading.get_ident())
        return value(reading, aggregation)

    monkeypatch.setattr(Reading, "value", watched)
    return threads
