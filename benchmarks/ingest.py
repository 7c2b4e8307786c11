"""Acknowledged events per second: singles over 64 keep-alive connections, and batches of 100.

Every acknowledgement is a commit on disk. The aggregator of the same process counts meanwhile, under one
metric. `python -m benchmarks.ingest [--seconds S]`
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import load
from benchmarks.load import Plan
from benchmarks.processes import cpu_seconds, peak_megabytes
from benchmarks.report import show
from tests.api import Api
from tests.running import Server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds: float = parser.parse_args().seconds
    rows = [
        _measured("single events", connections=64, batch=1, seconds=seconds),
        _measured("batches of 100", connections=16, batch=100, seconds=seconds),
    ]
    show("POST events, durable", rows)


def _measured(name: str, *, connections: int, batch: int, seconds: float) -> dict[str, str]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder) / "data") as server,
        Api.of(server) as api,
    ):
        api.create_metric("load", "SUM", valueProperty="$.tokens")
        plan = Plan(port=server.port, connections=connections, batch=batch, seconds=2.0)
        load.run(plan)  # a warm server
        before = cpu_seconds(server.process.pid)
        outcome = load.run(Plan(port=server.port, connections=connections, batch=batch, seconds=seconds))
        used = cpu_seconds(server.process.pid) - before
        caught_up = _seconds_until_counted(api)
        return {
            "what": name,
            "connections": str(connections),
            "acked events/s": f"{outcome.per_second:,.0f}",
            "p50 ms": f"{outcome.p50:.1f}",
            "p99 ms": f"{outcome.p99:.1f}",
            "refused": str(outcome.refused),
            "server CPU s": f"{used:.1f}",
            "client CPU s": f"{outcome.cpu_seconds:.1f}",
            "counted after s": f"{caught_up:.1f}",
            "peak MB": f"{peak_megabytes(server.process.pid):.0f}",
        }


def _seconds_until_counted(api: Api) -> float:
    """How long the aggregator took to count what ingest had taken in meanwhile."""
    began = time.perf_counter()
    api.post_single({"type": "after", "source": "/load", "subject": "cus_0", "data": {}})
    metric = api.create_metric("after", "COUNT")["id"]
    params = {"from": "1970-01-01T00:00:00Z", "to": "2199-01-01T00:00:00Z", "after": api.position}
    while api.client.get(f"/v0/billableMetrics/{metric}/meter", params=params).status_code != 200:
        if time.perf_counter() - began > 600:
            raise TimeoutError("the log is not counted ten minutes later")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
