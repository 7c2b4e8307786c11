"""All three services in one process, over SQLite and chDB: the one place that knows them all."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from starlette.types import ASGIApp

from aggregator.protocol import InsertRules
from aggregator.worker import Worker
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.migrate import migrate
from meterhouse.adapters.data_folder import DataFolder
from meterhouse.adapters.http.server import (
    Server,
    listening,
    serve_until_stopped,
    share_the_interpreter,
    spare_the_collector,
    url_of,
)
from meterhouse.adapters.sqlite_log.log import SqliteLog
from meterhouse.assembly.aggregator import worker_over
from meterhouse.assembly.duties import duties_over
from meterhouse.assembly.ingest import ingest_beside
from meterhouse.assembly.query import answered, query_over
from meterhouse.development import DEV_KEY, MERCHANT, PRODUCT
from meterhouse.settings import ClickHouseSettings
from meterhouse.stores import Stores, open_telemetry
from meterhouse.telemetry.instruments import AggregatorInstruments
from meterhouse.telemetry.shown import Telemetry


@asynccontextmanager
async def open_stores(folder: DataFolder, telemetry: Telemetry | None = None) -> AsyncIterator[Stores]:
    """Open and migrate everything in the folder; the caller holds its lock."""
    shown = telemetry or Telemetry()
    waits_for = shown.pools.waits_for
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(SqliteLog.open(folder.log))
        opening = Catalog.open(folder.catalog_url, waited=waits_for("catalog"))
        catalog = await stack.enter_async_context(opening)
        pool = ClickHousePool(
            folder.clickhouse_dsn,
            size=ClickHouseSettings().connections,
            waited=waits_for("clickhouse"),
            spans=shown.spans,
        )
        clickhouse = await stack.enter_async_context(pool)
        await migrate(clickhouse)
        yield await stack.enter_async_context(Stores.over(log, catalog, clickhouse))


@asynccontextmanager
async def existing_stores(folder: DataFolder) -> AsyncIterator[Stores]:
    """The stores of a folder that `meterhouse dev` has made, and nobody else's meanwhile.

    Raises FileNotFoundError where it has not, FolderInUse while a server runs on the folder.
    """
    if not folder.log.exists():
        raise FileNotFoundError(f"{folder.path} holds no event log; name the data folder with --data")
    with folder.lock():
        async with open_stores(folder) as stores:
            yield stores


@dataclass(frozen=True, slots=True, kw_only=True)
class DevOptions:
    """What `meterhouse dev` was asked for."""

    data: Path
    host: str
    port: int
    clickhouse_port: int | None
    api_key: str | None


async def serve(options: DevOptions, say: Callable[[str], None]) -> None:
    """Run ingest, aggregator and query until SIGTERM or SIGINT; `say` prints a line for the person.

    Raises FolderInUse, OSError where a port is taken, LogBroken when log and catalog contradict each other.
    """
    folder = DataFolder(options.data)
    folder.create()
    with folder.lock(), listening(options.host, options.port) as listener:
        async with AsyncExitStack() as stack:
            read_only = None
            if options.clickhouse_port is not None:
                read_only = stack.enter_context(listening("127.0.0.1", options.clickhouse_port))
            shown = await stack.enter_async_context(open_telemetry("meterhouse"))
            stores = await stack.enter_async_context(open_stores(folder, shown))
            await _provision(stores.catalog, folder, options, say)
            await _run(stores, shown, listener, read_only, say=say)


async def _provision(
    catalog: Catalog, folder: DataFolder, options: DevOptions, say: Callable[[str], None]
) -> None:
    """The development merchant with its product and key. The well-known key never works off the loopback."""
    await catalog.ensure_merchant(MERCHANT)
    await catalog.ensure_product(MERCHANT, PRODUCT)
    loopback = _is_loopback(options.host)
    if options.api_key is not None:
        await catalog.ensure_key(MERCHANT, options.api_key)
    elif loopback:
        await catalog.ensure_key(MERCHANT, DEV_KEY)
    elif (kept := folder.kept_key()) is not None:
        await catalog.ensure_key(MERCHANT, kept)
    else:
        _, secret = await catalog.create_key(MERCHANT, "made for a host that others can reach")
        folder.keep_key(secret)
        say(f"API key of {MERCHANT}, kept in {folder.api_key} and not printed again: {secret}")
    if not loopback and options.api_key != DEV_KEY:
        await catalog.forget_key(DEV_KEY)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _run(
    stores: Stores,
    shown: Telemetry,
    listener: socket.socket,
    read_only: socket.socket | None,
    *,
    say: Callable[[str], None],
) -> None:
    servers = [Server(_application(stores, shown), listener)]
    if read_only is not None:
        # Of the extra `embedded`, which `meterhouse check` of the distributed form does without.
        port = import_module("meterhouse.adapters.clickhouse.read_only")
        servers.append(Server(port.create_app(stores.clickhouse), read_only))

    def ready() -> None:
        if read_only is not None:
            say(f"ClickHouse, read only, is at {url_of(read_only)}")
        say(f"meterhouse is ready at {url_of(listener)}")

    workers = await _workers(stores, shown)
    share_the_interpreter()
    spare_the_collector()
    async with duties_over(stores, shown) as duties:
        await serve_until_stopped(servers, ready, [*[worker.run for worker in workers], *duties])


def _application(stores: Stores, shown: Telemetry) -> ASGIApp:
    """One application at one port: the two ingest paths, and everything else."""
    query = query_over(stores.catalog, stores.clickhouse, stores.log.log_id, shown)
    checks = {
        "event log": lambda: stores.log.bounds(0),
        "catalog": stores.catalog.newest,
        "ClickHouse": stores.clickhouse.answers,
    }
    return ingest_beside(answered(query, checks, shown), stores.log, stores.catalog.keys, shown)


async def catch_up(stores: Stores) -> None:
    """Count what a crash or a quick stop left uncounted, and finish every backfill. Raises LogBroken."""
    for worker in await _workers(stores, Telemetry()):
        progress = await worker.claim()
        while True:
            if progress.next_offset < (await stores.log.bounds(worker.partition)).end:
                progress = await worker.count(progress)
            elif not await worker.backfill(progress):
                break


async def _workers(stores: Stores, shown: Telemetry) -> list[Worker]:
    partitions = await stores.log.partitions()
    instruments = AggregatorInstruments(shown.registry)
    rules = InsertRules(settle=1.0)  # the engine dies with us: no INSERT of ours is still on its way
    return [
        await worker_over(
            stores, partition, of=partitions, rules=rules, instruments=instruments, spans=shown.spans
        )
        for partition in partitions
    ]
