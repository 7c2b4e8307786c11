"""The published paygentic-sdk 0.6.3, unmodified: billable metrics, events, and usage."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.clients.conftest import Caller
from tests.clients.counted import FROM, TO, create_metric, until, usage_event


@pytest.mark.anyio
async def test_billable_metrics_are_created_read_listed_and_updated(call: Caller, event_type: str) -> None:
    made = await create_metric(call, event_type, event_from=FROM)
    assert (made.aggregation, made.unit, made.product_id) == ("SUM", "tokens", "prod_dev")
    assert (made.event_type, made.value_property, made.group_by) == (
        event_type,
        "$.tokens",
        {"model": "$.model"},
    )
    assert made.event_from == FROM
    assert await call("billable_metrics.get", id=made.id) == made
    changed = await call("billable_metrics.update", id=made.id, name="n2", group_by=None, event_from=None)
    assert (changed.name, changed.group_by, changed.event_from) == ("n2", None, None)
    same = await call("billable_metrics.update", id=made.id)
    assert same.name == "n2"
    first = await call("billable_metrics.list", merchant_id="org_dev", limit=1)
    assert len(first.data) == 1
    listed = await call(
        "billable_metrics.list",
        merchant_id="org_dev",
        product_id="prod_dev",
        limit=100,
        offset=max(0, first.pagination.total - 100),
    )
    assert made.id in [one.id for one in listed.data]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("aggregation", "usage"),
    [("SUM", 60), ("COUNT", 3), ("AVG", 20), ("MIN", 10), ("MAX", 30), ("UNIQUE_COUNT", 3), ("LATEST", 30)],
)
async def test_every_aggregation_reads_back(
    call: Caller, event_type: str, aggregation: str, usage: float
) -> None:
    value = None if aggregation == "COUNT" else "$.tokens"
    metric = await create_metric(call, event_type, aggregation=aggregation, value_property=value)
    for hour, tokens in enumerate((10, 20, 30)):
        await call(
            "events.ingest",
            request=usage_event(event_type, data={"tokens": tokens}, timestamp=FROM + timedelta(hours=hour)),
        )
    answer = await until(
        lambda: call("billable_metrics.meter", id=metric.id, from_=FROM, to=TO, window_size="HOUR"),
        lambda answer: len(answer.windowed_values) == 3,
    )
    assert answer.total_value == usage


@pytest.mark.anyio
async def test_usage_is_read_by_hour_grouped_and_filtered(call: Caller, event_type: str) -> None:
    metric = await create_metric(call, event_type)
    for hour, model, tokens in ((0, "a", 1.5), (0, "b", 2), (3, "a", 4)):
        accepted = await call(
            "events.ingest",
            request=usage_event(
                event_type,
                data={"tokens": tokens, "model": model},
                timestamp=FROM + timedelta(hours=hour),
                idempotency_key=f"{event_type}/{hour}{model}",
            ),
        )
        assert accepted.idempotency_key == f"{event_type}/{hour}{model}"
    period = {"id": metric.id, "from_": FROM, "to": TO}
    answer = await until(
        lambda: call("billable_metrics.meter", **period, window_size="HOUR", group_by="subject,model"),
        lambda answer: answer.total_value == 7.5,
    )
    cells = [
        (window.window_start, group.group_by["model"], window.value)
        for window, group in zip(answer.windowed_values, answer.grouped_values, strict=True)
    ]
    assert cells == [(FROM, "a", 1.5), (FROM, "b", 2), (FROM + timedelta(hours=3), "a", 4)]
    filtered = await call("billable_metrics.meter", **period, filter_group_by=json.dumps({"model": "a"}))
    assert filtered.total_value == 5.5
    nobody = await call("billable_metrics.meter", **period, subject="cus_nobody")
    assert nobody.total_value == 0
    top = await call("billable_metrics.meter", **period, group_by="model", group_limit=1)
    assert ([one.group_by for one in top.grouped_values], top.group_count) == ([{"model": "a"}], 2)
    # The published guides pass naive datetimes.
    naive = {"from_": FROM.replace(tzinfo=None), "to": TO.replace(tzinfo=None)}
    assert (await call("billable_metrics.meter", id=metric.id, **naive)).total_value == 7.5


@pytest.mark.anyio
async def test_events_are_listed_as_they_were_sent(call: Caller, event_type: str) -> None:
    metric = await create_metric(call, event_type)
    await call(
        "events.ingest", request=usage_event(event_type, idempotency_key=f"{event_type}/k", external_id="x-1")
    )
    await call(
        "events.ingest",
        request={
            "type": event_type,
            "source": "svc",
            "external_subject": "acme",
            "data": {"tokens": 1},
            "timestamp": FROM,
        },
    )
    period = {"id": metric.id, "from_": FROM, "to": TO}
    listed = await until(
        lambda: call("billable_metrics.list_events", **period), lambda page: len(page.events) == 2
    )
    newest, oldest = listed.events
    assert (newest.idempotency_key, newest.external_id) == (f"{event_type}/k", "x-1")
    assert newest.data == {"tokens": 1500, "model": "gpt"}
    assert newest.time == FROM + timedelta(hours=12, microseconds=123456)
    assert (oldest.subject, oldest.external_subject) == ("", "acme")
    by_external_id = await call("billable_metrics.list_events", **period, external_id="x-1")
    assert [one.idempotency_key for one in by_external_id.events] == [f"{event_type}/k"]
    second = await call("billable_metrics.list_events", **period, limit=1, offset=1)
    assert [one.external_subject for one in second.events] == ["acme"]
    assert second.pagination.total == 2


@pytest.mark.anyio
async def test_a_repeated_idempotency_key_is_accepted_and_counts_once(call: Caller, event_type: str) -> None:
    metric = await create_metric(call, event_type)
    for _ in range(3):
        await call("events.ingest", request=usage_event(event_type, idempotency_key=f"{event_type}/k"))
    await call("events.ingest", request=usage_event(event_type))
    answer = await until(
        lambda: call("billable_metrics.meter", id=metric.id, from_=FROM, to=TO, group_by="model"),
        lambda answer: answer.total_value >= 3000,
    )
    assert (answer.total_value, answer.grouped_values[0].event_count) == (3000, 2)
