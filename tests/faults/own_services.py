"""Services of one test's own: processes over a topic, a catalog and tables that nobody else uses."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import anyio
import httpx

from deploy.local.control import MERCHANT, PRODUCT
from deploy.local.machine import free_ports
from deploy.local.units import Unit
from meterhouse.adapters.catalog.schema import migrate as migrate_catalog
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.migrate import migrate
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.adapters.kafka.topics import create
from meterhouse.domain.errors import LogUnavailable
from tests.running import PATIENCE
from tests.servers.kafka import PATIENT, PLAN, TestTopic
from tests.servers.postgres import PostgresServer

T = TypeVar("T")


async def eventually(ask: Callable[[], Awaitable[T]], what: str) -> T:
    """The first answer of `ask` that is true; nobody tells when it comes to be."""
    try:
        with anyio.fail_after(PATIENCE):
            while not (found := await ask()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE:g} s: {what}") from None
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnServices:
    """The stores, and the processes that run over them. Made by `own_services`."""

    folder: Path
    topic: TestTopic
    clickhouse: ClickHousePool
    environment: Mapping[str, str]
    key: str
    units: list[Unit] = field(default_factory=list)

    async def start(self, service: str, **extra: str) -> Unit:
        """Start a process of `service`, with `extra` in its environment; return once it answers."""
        [port] = free_ports(1)
        unit = Unit(
            name=f"{service}-{len(self.units) + 1}",
            command=[sys.executable, "-m", "meterhouse", service, "--port", str(port)],
            environment={**self.environment, **extra},
            port=port,
            folder=self.folder,
        )
        self.units.append(unit)
        await self.launch(unit)
        return unit

    async def launch(self, unit: Unit) -> None:
        """Start it again, as it was."""
        unit.launch()
        await anyio.to_thread.run_sync(unit.wait_until, Unit.listens, PATIENCE)

    async def kill(self, unit: Unit) -> None:
        """SIGKILL; returns once the process is gone."""
        await anyio.to_thread.run_sync(unit.end, signal.SIGKILL)

    @asynccontextmanager
    async def log(self) -> AsyncIterator[KafkaLog]:
        """The topic that has the name now, as any process of ours opens it."""
        async with KafkaLog.open(self.topic.servers, self.topic.name, SystemClock(), PATIENT) as log:
            yield log

    async def log_answers(self) -> bool:
        """Whether Kafka serves the topic."""
        with suppress(LogUnavailable):
            async with self.log():
                return True
        return False

    async def is_counted(self) -> bool:
        """Whether the catalog says that all of the topic is counted: no range is pending any more."""
        async with self.log() as log, Catalog.connect(self.environment["METERHOUSE_CATALOG_URL"]) as catalog:
            counted = await catalog.watermark(log.log_id).counted()
            ends = {partition: (await log.bounds(partition)).end for partition in await log.partitions()}
        return counted == ends

    async def stored(self) -> dict[tuple[int, int], str]:
        """Every event that ClickHouse holds: its id by its place."""
        question = "SELECT log_partition, log_offset, id FROM events FINAL"
        rows = await self.clickhouse.run(lambda client: client.query(question).result_rows)
        return {(partition, offset): id for partition, offset, id in rows}


async def not_ready(unit: Unit) -> Sequence[str]:
    """What keeps the process from being ready, in its words; nothing once it is."""
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        response = await client.get(f"http://127.0.0.1:{unit.port}/readyz")
    assert response.status_code in (200, 503), response.text
    problems: Sequence[str] = response.json().get("notReady", ())
    return problems


@asynccontextmanager
async def own_services(folder: Path, shared: Mapping[str, str]) -> AsyncIterator[OwnServices]:
    """Make a topic and databases on the servers that the environment `shared` names. Nothing runs yet."""
    name = f"own-{uuid4().hex[:12]}"
    postgres = PostgresServer(shared["METERHOUSE_CATALOG_URL"])
    catalog_url = await anyio.to_thread.run_sync(partial(postgres.new_database, migrated=False))
    await migrate_catalog(catalog_url)
    async with Catalog.connect(catalog_url) as catalog:
        await catalog.ensure_merchant(MERCHANT)
        await catalog.ensure_product(MERCHANT, PRODUCT)
        _, key = await catalog.create_key(MERCHANT, "made by a test")
    topic = TestTopic(KafkaServers(bootstrap=shared["METERHOUSE_KAFKA"]), name)
    await create(topic.servers, name, PLAN)
    database = name.replace("-", "_")
    clickhouse_url = urlsplit(shared["METERHOUSE_CLICKHOUSE_URL"])._replace(path=f"/{database}").geturl()
    environment = {
        "METERHOUSE_KAFKA": topic.servers.bootstrap,
        "METERHOUSE_KAFKA_TOPIC": name,
        "METERHOUSE_KAFKA_GROUP": name,
        "METERHOUSE_KAFKA_SESSION_TIMEOUT": "PT1S",
        "METERHOUSE_CATALOG_URL": catalog_url,
        "METERHOUSE_CLICKHOUSE_URL": clickhouse_url,
    }
    async with ClickHousePool(clickhouse_url, size=1) as clickhouse:
        await migrate(clickhouse)
        services = OwnServices(
            folder=folder, topic=topic, clickhouse=clickhouse, environment=environment, key=key
        )
        try:
            yield services
        finally:
            for unit in services.units:
                await services.kill(unit)
    await anyio.to_thread.run_sync(postgres.drop, catalog_url)
