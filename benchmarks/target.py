"""What a benchmark sends to and asks: meterhouse as one process, or as many."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.installation import installed
from benchmarks.processes import cpu_seconds
from tests.api import Api
from tests.running import Server


@dataclass(frozen=True, slots=True)
class Target:
    """Events go to `port`, and calls through `events`; questions through `usage`. `pids` are by service."""

    port: int
    key: str
    events: Api
    usage: Api
    pids: Mapping[str, int]

    def cpu_seconds(self) -> Mapping[str, float]:
        """What each service has used so far."""
        return {service: cpu_seconds(pid) for service, pid in self.pids.items()}


def add_options(parser: ArgumentParser) -> None:
    """`--distributed`, which `target` takes as the number of the log's partitions."""
    parser.add_argument(
        "--distributed",
        type=int,
        nargs="?",
        const=1,
        metavar="PARTITIONS",
        help="one process of each service, and a log of that many partitions (1)",
    )


@contextmanager
def target(*, partitions: int | None) -> Iterator[Target]:
    """A new one: `meterhouse dev`, or one process of each service beside Kafka, PostgreSQL, ClickHouse."""
    with _embedded() if partitions is None else _distributed(partitions) as found:
        yield found


@contextmanager
def _embedded() -> Iterator[Target]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder) / "data") as server,
        Api.of(server) as api,
    ):
        yield Target(server.port, server.key, api, api, {"server": server.process.pid})


@contextmanager
def _distributed(partitions: int) -> Iterator[Target]:
    services = ("ingest", "aggregator", "query")
    with installed(ingest=1, aggregator=1, query=1, partitions=partitions) as running:
        ports = {service: running.port(f"{service}-1") for service in services}
        pids = {service: running.pid(f"{service}-1") for service in services}
        # Not through the gateway, which is for a local start only and slower than what is behind it.
        with (
            Api(f"http://127.0.0.1:{ports['ingest']}", running.key) as events,
            Api(f"http://127.0.0.1:{ports['query']}", running.key) as usage,
        ):
            yield Target(ports["ingest"], running.key, events, usage, pids)
