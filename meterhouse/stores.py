"""What a process works on: the event log, the catalog and ClickHouse, wherever they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Protocol

from meterhouse.adapters.catalog.engines import DatabaseLimits
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.shards import ShardPools
from meterhouse.domain.errors import Invalid
from meterhouse.ports.log import DeadLetters, LogReader, LogWriter
from meterhouse.settings import CatalogSettings, ClickHouseSettings, TelemetrySettings
from meterhouse.telemetry.shown import Telemetry
from meterhouse.telemetry.spans import Spans


class EventLog(LogWriter, LogReader, DeadLetters, Protocol):
    """An event log, whole; `log_id` tells it from every other."""

    @property
    def log_id(self) -> str: ...

    async def dead_offsets(self, partition: int) -> frozenset[int]:
        """The offsets of the partition's records that were set aside."""


@asynccontextmanager
async def open_telemetry(service: str) -> AsyncIterator[Telemetry]:
    """What a process of that name shows of itself; spans where the environment names a collector.

    Raises Invalid where it does and the extra for them is not installed.
    """
    if not TelemetrySettings().exports_spans:
        yield Telemetry()
        return
    try:
        otlp = import_module("meterhouse.telemetry.otlp")
    except ModuleNotFoundError as error:
        raise Invalid("spans need the extra: pip install 'meterhouse[otel]'") from error
    async with otlp.exporting(service) as provider:
        yield Telemetry(Spans(provider))


def shared_catalog(telemetry: Telemetry | None = None) -> AbstractAsyncContextManager[Catalog]:
    """The catalog that METERHOUSE_CATALOG_URL names, which has to be migrated (Catalog.connect)."""
    settings = CatalogSettings()
    limits = DatabaseLimits(**settings.model_dump(exclude={"url"}))
    waited = (telemetry or Telemetry()).pools.waits_for("catalog")
    return Catalog.connect(settings.url.get_secret_value(), limits, waited=waited)


def shared_clickhouse(timeout: timedelta | None = None, telemetry: Telemetry | None = None) -> ClickHousePool:
    """The ClickHouse that METERHOUSE_CLICKHOUSE_URL names; use it as an async context manager.

    `timeout` is for whoever cannot wait as long as the setting says.
    """
    settings = ClickHouseSettings()
    shown = telemetry or Telemetry()
    return ClickHousePool(
        settings.url.get_secret_value(),
        user=settings.user,
        password=settings.password.get_secret_value(),
        cluster=settings.cluster,
        size=settings.connections,
        timeout=settings.timeout if timeout is None else min(timeout, settings.timeout),
        waited=shown.pools.waits_for("clickhouse"),
        spans=shown.spans,
    )


@dataclass(frozen=True, slots=True)
class Stores:
    """Everything that is kept, opened."""

    log: EventLog
    catalog: Catalog
    clickhouse: ClickHousePool
    shards: ShardPools

    @classmethod
    @asynccontextmanager
    async def over(cls, log: EventLog, catalog: Catalog, clickhouse: ClickHousePool) -> AsyncIterator[Stores]:
        """These, and whatever else of ClickHouse turns out to be needed, closed in the end."""
        async with ShardPools(clickhouse, catalog.placement(log.log_id)) as shards:
            yield cls(log, catalog, clickhouse, shards)
