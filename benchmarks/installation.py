"""The distributed form for as long as a benchmark takes: deploy/local's, with a ledger of CPU by process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import cpu_seconds
from deploy.local.control import Installation
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.stores import Stores


@dataclass(slots=True)
class Installed:
    """An installation that runs."""

    installation: Installation

    @property
    def url(self) -> str:
        return self.installation.url

    @property
    def key(self) -> str:
        return self.installation.left["METERHOUSE_KEY"]

    def port(self, name: str) -> int:
        return self.installation.unit(name).port

    def pid(self, name: str) -> int:
        """Raises LookupError for a process that is not there."""
        pid = self.installation.unit(name).pid
        if pid is None:
            raise LookupError(f"{name} does not run")
        return pid

    @asynccontextmanager
    async def stores(self) -> AsyncIterator[Stores]:
        """Its log, catalog and ClickHouse, as one of its own processes opens them."""
        servers = KafkaServers(bootstrap=self.installation.environment["METERHOUSE_KAFKA"])
        async with (
            KafkaLog.open(servers, "meterhouse.events", SystemClock()) as log,
            Catalog.connect(self.installation.environment["METERHOUSE_CATALOG_URL"]) as catalog,
            ClickHousePool(self.installation.environment["METERHOUSE_CLICKHOUSE_URL"]) as clickhouse,
            Stores.over(log, catalog, clickhouse) as stores,
        ):
            yield stores

    def cpu_seconds(self) -> dict[str, float]:
        """What each process that runs has used so far."""
        pids = {unit.name: unit.pid for unit in self.installation.units}
        return {name: cpu_seconds(pid) for name, pid in pids.items() if pid is not None}


@contextmanager
def installed(**options: int) -> Iterator[Installed]:
    """An installation with that many `ingest`, `aggregator`, `query`, `brokers` and `partitions`.

    It is stopped at the end.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            _ctl("up", folder, *[f"--{option}={count}" for option, count in options.items()])
            yield Installed(Installation.load(folder))
        finally:
            _ctl("down", folder)


def _ctl(command: str, folder: Path, *options: str) -> None:
    words = [sys.executable, "-m", "deploy.local.control", command, "--dir", str(folder), *options]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
