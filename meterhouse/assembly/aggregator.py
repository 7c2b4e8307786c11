"""The aggregator's parts over what is opened, by the environment's settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aggregator.batch import FlushPolicy
from aggregator.fault import fault_of
from aggregator.protocol import InsertRules
from aggregator.publication import Publisher
from aggregator.retirement import Retirement
from aggregator.spans import BatchSpans
from aggregator.worker import Worker, always, boot_clock
from meterhouse.adapters.clickhouse.archive import ClickHouseArchive
from meterhouse.adapters.clickhouse.blocks import ClickHouseBlocks
from meterhouse.adapters.clickhouse.publication import ClickHousePublication
from meterhouse.adapters.clock import SystemClock
from meterhouse.settings import AggregatorSettings, FaultSettings
from meterhouse.stores import Stores
from meterhouse.telemetry.instruments import AggregatorInstruments
from meterhouse.telemetry.spans import NO_SPANS, Spans


async def worker_over(
    stores: Stores,
    partition: int,
    *,
    of: Sequence[int],
    rules: InsertRules,
    instruments: AggregatorInstruments,
    spans: Spans = NO_SPANS,
    idle_seconds: float = 0.1,
    last_seconds: float = 5.0,
    is_ours: Callable[[], bool] = always,
) -> Worker:
    """Whoever counts that partition, one `of` all that the log has. Raises Unavailable."""
    settings, clickhouse = AggregatorSettings(), await stores.shards.of(partition)
    return Worker(
        partition=partition,
        log_id=stores.log.log_id,
        log_reader=stores.log,
        dead_letters=stores.log,
        ledger=stores.catalog.ledger(stores.log.log_id, of),
        definitions=stores.catalog,
        store=ClickHouseBlocks(clickhouse),
        archive=ClickHouseArchive(clickhouse),
        policy=FlushPolicy(max_events=settings.flush_events, max_age=settings.flush_age),
        clock=boot_clock,
        time_of_day=SystemClock(),
        rules=rules,
        fault=fault_of(FaultSettings().fault),
        instruments=instruments,
        spans=BatchSpans(spans),
        idle_seconds=idle_seconds,
        last_seconds=last_seconds,
        is_ours=is_ours,
    )


def publisher_over(stores: Stores) -> Publisher:
    """Whoever tells readers of the tables which billable metrics there are."""
    return Publisher(stores.catalog.metrics, ClickHousePublication(stores.clickhouse))


def retirement_over(stores: Stores) -> Retirement:
    """Whoever deletes what versions of billable metrics have counted that are read no more."""
    return Retirement(
        stores.catalog.versions(stores.log.log_id),
        ClickHouseBlocks(stores.clickhouse),
        ClickHousePublication(stores.clickhouse),
    )
