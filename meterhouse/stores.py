"""What a process works on: the event log, the catalog and ClickHouse, wherever they are."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from meterhouse.adapters.catalog.engines import DatabaseLimits
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.ports import DeadLetters, LogReader, LogWriter
from meterhouse.settings import CatalogSettings, ClickHouseSettings


class EventLog(LogWriter, LogReader, DeadLetters, Protocol):
    """An event log, whole; `log_id` tells it from every other."""

    @property
    def log_id(self) -> str: ...

    async def dead_offsets(self, partition: int) -> frozenset[int]:
        """The offsets of the partition's records that were set aside."""


def shared_catalog() -> AbstractAsyncContextManager[Catalog]:
    """The catalog that METERHOUSE_CATALOG_URL names, which has to be migrated (Catalog.connect)."""
    settings = CatalogSettings()
    limits = DatabaseLimits(**settings.model_dump(exclude={"url"}))
    return Catalog.connect(settings.url.get_secret_value(), limits)


def shared_clickhouse(timeout: timedelta | None = None) -> ClickHousePool:
    """The ClickHouse that METERHOUSE_CLICKHOUSE_URL names; use it as an async context manager.

    `timeout` is for whoever cannot wait as long as the setting says.
    """
    settings = ClickHouseSettings()
    return ClickHousePool(
        settings.url.get_secret_value(),
        user=settings.user,
        password=settings.password.get_secret_value(),
        cluster=settings.cluster,
        size=settings.connections,
        timeout=settings.timeout if timeout is None else min(timeout, settings.timeout),
    )


@dataclass(frozen=True, slots=True)
class Stores:
    """Everything that is kept, opened."""

    log: EventLog
    catalog: Catalog
    clickhouse: ClickHousePool
