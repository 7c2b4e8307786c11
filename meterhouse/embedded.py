"""All three services in one process, over SQLite and chDB: the one place that knows them all."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from aggregator.batch import FlushPolicy
from aggregator.protocol import InsertRules
from aggregator.worker import Worker
from ingest.app import create_app as create_ingest
from ingest.limits import Limits
from ingest.openapi import OPENAPI as INGEST_OPENAPI
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clickhouse.archive import ClickHouseArchive
from meterhouse.adapters.clickhouse.blocks import ClickHouseBlocks
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.migrate import migrate
from meterhouse.adapters.clickhouse.read_only import create_app as create_read_only
from meterhouse.adapters.clickhouse.usage import ClickHouseUsage
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.data_folder import DataFolder
from meterhouse.adapters.http.health import health_routes
from meterhouse.adapters.sqlite_log.log import SqliteLog
from meterhouse.settings import (
    AggregatorSettings,
    ClickHouseSettings,
    FaultSettings,
    IngestSettings,
    QuerySettings,
)
from query.app import create_app as create_query

MERCHANT = "org_dev"
PRODUCT = "prod_dev"
DEV_KEY = "mh_dev"

INGEST_PATHS = frozenset({"/v0/events", "/api/v1/events"})


@dataclass(frozen=True, slots=True)
class Stores:
    """What is kept in a data folder, opened."""

    log: SqliteLog
    catalog: Catalog
    clickhouse: ClickHousePool


@asynccontextmanager
async def open_stores(folder: DataFolder) -> AsyncIterator[Stores]:
    """Open and migrate everything in the folder; the caller holds its lock."""
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(SqliteLog.open(folder.log))
        catalog = await stack.enter_async_context(Catalog.open(folder.catalog_url))
        pool = ClickHousePool(folder.clickhouse_dsn, size=ClickHouseSettings().connections)
        clickhouse = await stack.enter_async_context(pool)
        await migrate(clickhouse)
        yield Stores(log, catalog, clickhouse)


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
    with folder.lock(), _listening(options.host, options.port) as listener:
        async with AsyncExitStack() as stack:
            read_only = None
            if options.clickhouse_port is not None:
                read_only = stack.enter_context(_listening("127.0.0.1", options.clickhouse_port))
            stores = await stack.enter_async_context(open_stores(folder))
            await _provision(stores.catalog, folder, options, say)
            await _run(stores, listener, read_only, say)


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
    stores: Stores, listener: socket.socket, read_only: socket.socket | None, say: Callable[[str], None]
) -> None:
    stop = asyncio.Event()
    servers = [_Server(_application(stores), listener)]
    if read_only is not None:
        servers.append(_Server(create_read_only(stores.clickhouse), read_only))
    workers = await _workers(stores)
    _share_the_interpreter()
    try:
        async with asyncio.TaskGroup() as tasks:
            for worker in workers:
                tasks.create_task(worker.run(stop))
            for server in servers:
                tasks.create_task(server.serve(sockets=[server.listener]))
            with _signals(stop):
                for server in servers:
                    await server.listening.wait()
                if read_only is not None:
                    say(f"ClickHouse, read only, is at {_url(read_only)}")
                say(f"meterhouse is ready at {_url(listener)}")
                await stop.wait()
                for server in servers:
                    server.should_exit = True
    except ExceptionGroup as group:
        raise group.exceptions[0] from group  # the first failure is why the others were stopped


def _share_the_interpreter() -> None:
    """Let requests be answered promptly while the aggregator folds in a thread beside them.

    A request waits for the interpreter lock one switch interval at a time, and 5 ms each is most of its
    latency. What lives as long as the process need not be walked by every collection, and a batch of tens
    of thousands of live tuples is no sign of garbage (docs/benchmarks.md has the ratios).
    """
    sys.setswitchinterval(0.0005)
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


class _Server(uvicorn.Server):
    """Uvicorn on a socket that listens already, leaving signals to us."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            log_config=None,
            http="httptools",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
        super().__init__(config)
        self.listener = listener
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _application(stores: Stores) -> ASGIApp:
    """One application at one port: the two ingest paths, and everything else."""
    clock = SystemClock()
    settings = IngestSettings()
    ingest = create_ingest(stores.log, stores.catalog.keys, clock, Limits(**settings.model_dump()))
    query = create_query(
        products=stores.catalog.products,
        metrics=stores.catalog.metrics,
        directory=stores.catalog.metrics,
        watermark=stores.catalog.watermark(stores.log.log_id),
        usage=ClickHouseUsage(stores.clickhouse),
        keys=stores.catalog.keys,
        clock=clock,
        settings=QuerySettings(),
        extra_openapi=INGEST_OPENAPI,
    )
    query.router.routes[:0] = health_routes(
        {
            "event log": lambda: stores.log.bounds(0),
            "catalog": stores.catalog.newest,
            "ClickHouse": lambda: stores.clickhouse.run(lambda client: client.command("SELECT 1")),
        }
    )

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = ingest if scope["type"] == "http" and scope["path"] in INGEST_PATHS else query
        await chosen(scope, receive, send)

    return application


async def catch_up(stores: Stores) -> None:
    """Count what a crash or a quick stop left uncounted, and finish every backfill. Raises LogBroken."""
    for worker in await _workers(stores):
        progress = await worker.claim()
        while True:
            if progress.next_offset < (await stores.log.bounds(worker.partition)).end:
                progress = await worker.count(progress)
            elif not await worker.backfill(progress):
                break


async def _workers(stores: Stores) -> list[Worker]:
    settings = AggregatorSettings()
    partitions = await stores.log.partitions()
    ledger = stores.catalog.ledger(stores.log.log_id, partitions)
    fault = _fault(FaultSettings().fault)
    return [
        Worker(
            partition=partition,
            log_id=stores.log.log_id,
            log_reader=stores.log,
            dead_letters=stores.log,
            ledger=ledger,
            definitions=stores.catalog,
            store=ClickHouseBlocks(stores.clickhouse),
            archive=ClickHouseArchive(stores.clickhouse),
            policy=FlushPolicy(max_events=settings.flush_events, max_age=settings.flush_age),
            clock=_boot_time,
            rules=InsertRules(settle=1.0),  # the engine dies with us: no INSERT of ours is still on its way
            fault=fault,
        )
        for partition in partitions
    ]


def _boot_time() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _fault(text: str) -> Callable[[str], None]:
    """Kill this process at the n-th passing of a point ("planned:3"); without text, never."""
    name, _, number = text.rpartition(":")
    passed: Counter[str] = Counter()

    def pass_by(point: str) -> None:
        passed[point] += 1
        if point == name and passed[point] == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    return pass_by if text else lambda _: None


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT ask for a stop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket; OSError where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=2048) as listener:
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
