"""What every process of an installation shares. Where it is, the environment says (meterhouse.settings)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.kafka.assignment import members
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.domain.errors import Conflict
from meterhouse.settings import KafkaSettings
from meterhouse.stores import Stores, shared_catalog, shared_clickhouse
from meterhouse.telemetry.shown import Telemetry


def shared_log() -> AbstractAsyncContextManager[KafkaLog]:
    """The log on Kafka that METERHOUSE_KAFKA names."""
    settings = KafkaSettings()
    return KafkaLog.open(settings.servers(), settings.topic, SystemClock(), settings.limits())


@asynccontextmanager
async def open_stores(telemetry: Telemetry | None = None) -> AsyncIterator[Stores]:
    """Everything, for `meterhouse check`. Raises LogUnavailable, CatalogUnavailable, NotMigrated and more."""
    shown = telemetry or Telemetry()
    async with (
        shared_log() as log,
        shared_catalog(shown) as catalog,
        shared_clickhouse(telemetry=shown) as clickhouse,
        Stores.over(log, catalog, clickhouse) as stores,
    ):
        yield stores


async def require_idle() -> None:
    """Raise Conflict while an aggregator belongs to the group, or has died so lately that it still does."""
    kafka = KafkaSettings()
    if count := await members(kafka.servers(), kafka.group):
        raise Conflict(f"the group {kafka.group} has {count} members: stop every aggregator first")
