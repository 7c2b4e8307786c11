"""The billable metrics beside the rollups, for readers without a catalog: Grafana, a person with SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.ports.metrics import PublishedMetric

_TABLE: Final = "metric_publications"
_VIEW: Final = "billable_metrics"
_FIELDS: Final = [field.name for field in fields(PublishedMetric)]


class ClickHousePublication:
    """Implements MetricPublication over the pool's server; on a cluster every other one replicates it."""

    def __init__(self, pool: ClickHousePool) -> None:
        self._pool = pool

    async def published(self) -> Mapping[PublishedMetric, int]:
        view = self._pool.tables.everywhere(_VIEW)
        statement = f"SELECT {', '.join(_FIELDS)}, revision FROM {view}"  # noqa: S608 # our own names

        def read(client: Client) -> Mapping[PublishedMetric, int]:
            rows = client.query(statement).result_rows
            return {_metric(row[:-1]): row[-1] for row in rows}

        return await self._pool.run(read)

    async def publish(self, metrics: Mapping[PublishedMetric, int]) -> None:
        if not metrics:
            return
        rows = [[*_row(metric), revision] for metric, revision in metrics.items()]
        tables = self._pool.tables

        def insert(client: Client) -> None:
            client.insert(_TABLE, rows, [*_FIELDS, "revision"], database=tables.own_database)

        await self._pool.run(insert)


def _metric(row: Sequence[Any]) -> PublishedMetric:
    values = dict(zip(_FIELDS, row, strict=True))
    return PublishedMetric(**values | {"dimensions": tuple(values["dimensions"])})


def _row(metric: PublishedMetric) -> list[object]:
    return [getattr(metric, name) for name in _FIELDS]
