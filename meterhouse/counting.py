"""A worker of the aggregator over opened stores, by the settings of the environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aggregator.batch import FlushPolicy
from aggregator.fault import fault_of
from aggregator.protocol import InsertRules
from aggregator.worker import Worker, always, boot_clock
from meterhouse.adapters.clickhouse.archive import ClickHouseArchive
from meterhouse.adapters.clickhouse.blocks import ClickHouseBlocks
from meterhouse.adapters.clock import SystemClock
from meterhouse.settings import AggregatorSettings, FaultSettings
from meterhouse.stores import Stores
from meterhouse.telemetry.instruments import AggregatorInstruments


def worker_over(
    stores: Stores,
    partition: int,
    *,
    of: Sequence[int],
    rules: InsertRules,
    instruments: AggregatorInstruments,
    last_seconds: float = 5.0,
    is_ours: Callable[[], bool] = always,
) -> Worker:
    """Whoever counts that partition, one `of` all that the log has."""
    settings = AggregatorSettings()
    return Worker(
        partition=partition,
        log_id=stores.log.log_id,
        log_reader=stores.log,
        dead_letters=stores.log,
        ledger=stores.catalog.ledger(stores.log.log_id, of),
        definitions=stores.catalog,
        store=ClickHouseBlocks(stores.clickhouse),
        archive=ClickHouseArchive(stores.clickhouse),
        policy=FlushPolicy(max_events=settings.flush_events, max_age=settings.flush_age),
        clock=boot_clock,
        time_of_day=SystemClock(),
        rules=rules,
        fault=fault_of(FaultSettings().fault),
        instruments=instruments,
        last_seconds=last_seconds,
        is_ours=is_ours,
    )
