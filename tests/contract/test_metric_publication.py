"""What readers of the tables see of the billable metrics, whatever becomes of those who publish them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest
from clickhouse_connect.driver.client import Client

from aggregator.publication import Publisher
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.publication import ClickHousePublication
from meterhouse.domain.billable_metric import Aggregation, BillableMetric
from meterhouse.domain.errors import StoreUnavailable
from meterhouse.ports.metrics import MetricPublication, PublishedMetric
from tests.fakes_query import FakeMetrics

pytestmark = pytest.mark.anyio

ODD = 'o\'dd \\ "näme"\t\n{x:String}'


def metric(id: str, merchant_id: str = "org_a") -> BillableMetric:
    return BillableMetric(
        id=id,
        merchant_id=merchant_id,
        product_id="prod_a",
        item_id=None,
        name=f"name of {id}",
        description="",
        unit="tokens",
        aggregation=Aggregation.SUM,
        event_type="completion",
        value_property="$.tokens",
        group_by={"model": "$.model", "region": "$.region"},
        event_from=None,
        version=1,
        created_at=1,
        updated_at=1,
    )


async def seen(pool: ClickHousePool) -> list[tuple[object, ...]]:
    """The metrics as a person with SQL sees them."""
    statement = "SELECT * EXCEPT revision FROM billable_metrics ORDER BY namespace, billable_metric_id"

    def read(client: Client) -> list[tuple[object, ...]]:
        return [tuple(row) for row in client.query(statement).result_rows]

    return await pool.run(read)


async def rows(pool: ClickHousePool) -> int:
    statement = "SELECT count() FROM metric_publications"
    return int(await pool.run(lambda client: client.query(statement).result_rows[0][0]))


async def test_every_merchant_s_metrics_are_published_as_they_are_named(clickhouse: ClickHousePool) -> None:
    metrics = FakeMetrics()
    await metrics.create(replace(metric("bm_1"), name=ODD, unit=ODD))
    await metrics.create(
        replace(metric("bm_2", "org_b"), group_by=None, aggregation=Aggregation.UNIQUE_COUNT)
    )
    await Publisher(metrics, ClickHousePublication(clickhouse)).publish()
    assert await seen(clickhouse) == [
        ("org_a", "bm_1", 1, "SUM", ODD, ODD, ["model", "region"]),
        ("org_b", "bm_2", 1, "UNIQUE_COUNT", "name of bm_2", "tokens", []),
    ]


async def test_what_has_not_changed_is_not_published_again(clickhouse: ClickHousePool) -> None:
    metrics = FakeMetrics()
    await metrics.create(metric("bm_1"))
    for _ in range(3):  # each as a process that has just started
        await Publisher(metrics, ClickHousePublication(clickhouse)).publish()
    assert await rows(clickhouse) == 1


async def test_a_new_name_takes_the_place_of_the_old_one(clickhouse: ClickHousePool) -> None:
    metrics = FakeMetrics()
    publisher = Publisher(metrics, ClickHousePublication(clickhouse))
    await metrics.create(metric("bm_1"))
    await publisher.publish()
    for name in ("second", "third", "second"):
        await metrics.update("org_a", "bm_1", {"name": name})
        await publisher.publish()
    assert [row[4] for row in await seen(clickhouse)] == ["second"]
    assert await rows(clickhouse) == 4


async def test_readers_are_sent_to_a_new_version_only_once_it_is_complete(clickhouse: ClickHousePool) -> None:
    metrics = FakeMetrics()
    publisher = Publisher(metrics, ClickHousePublication(clickhouse))
    await metrics.create(metric("bm_1"))
    metrics.building = True
    await metrics.update("org_a", "bm_1", {"group_by": {"user": "$.user"}})
    await publisher.publish()
    assert [(row[2], row[6]) for row in await seen(clickhouse)] == [(1, ["model", "region"])]
    metrics.activate("bm_1")
    await publisher.publish()
    assert [(row[2], row[6]) for row in await seen(clickhouse)] == [(2, ["user"])]


async def test_a_metric_that_is_counted_no_more_is_shown_no_more(clickhouse: ClickHousePool) -> None:
    metrics = FakeMetrics()
    publication = ClickHousePublication(clickhouse)
    await metrics.create(metric("cst_1"))
    await metrics.create(metric("bm_1"))
    await Publisher(metrics, publication).publish()
    del metrics.rows["cst_1"]
    for _ in range(2):
        await Publisher(metrics, publication).publish()
        assert [row[1] for row in await seen(clickhouse)] == ["bm_1"]
        assert [one.billable_metric_id for one in await publication.published()] == ["bm_1"]
    assert await rows(clickhouse) == 3


class HeldUp:
    """Publishes only after `meanwhile`, as a process that was stopped in between."""

    def __init__(self, real: MetricPublication, meanwhile: Publisher, metrics: FakeMetrics) -> None:
        self._real = real
        self._meanwhile = meanwhile
        self._metrics = metrics

    async def published(self) -> Mapping[PublishedMetric, int]:
        return await self._real.published()

    async def publish(self, metrics: Mapping[PublishedMetric, int]) -> None:
        for name in ("newer", "newest"):
            await self._metrics.update("org_a", "bm_1", {"name": name})
            await self._meanwhile.publish()
        await self._real.publish(metrics)


async def test_a_publisher_that_was_held_up_does_not_take_readers_back(clickhouse: ClickHousePool) -> None:
    metrics = FakeMetrics()
    publication = ClickHousePublication(clickhouse)
    publisher = Publisher(metrics, publication)
    await metrics.create(metric("bm_1"))
    await Publisher(metrics, HeldUp(publication, publisher, metrics)).publish()
    assert [row[4] for row in await seen(clickhouse)] == ["newest"]


class Away:
    """A store that refuses the first call."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.calls = 0
        self._stop = stop

    async def published(self) -> Mapping[PublishedMetric, int]:
        self.calls += 1
        if self.calls == 1:
            raise StoreUnavailable("away")
        return {}

    async def publish(self, metrics: Mapping[PublishedMetric, int]) -> None:
        self._stop.set()


async def test_a_store_that_is_away_is_waited_for() -> None:
    stop = asyncio.Event()
    away = Away(stop)
    async with asyncio.timeout(60):
        await Publisher(FakeMetrics(), away, every_seconds=0.01).run(stop)
    assert away.calls == 2
