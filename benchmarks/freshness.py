"""From the 202 until a usage answer contains the event, while 2,000 events a second come in.

`python -m benchmarks.freshness [--seconds S] [--rate R]`
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import load
from benchmarks.load import Plan
from benchmarks.processes import cpu_seconds
from benchmarks.report import percentile, show
from tests.api import Api
from tests.running import Server

_PROBES_EVERY = 0.05  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=2000.0)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder) / "data") as server,
        Api.of(server) as api,
    ):
        dimensions = {"groupBy": {"model": "$.model"}}
        metric = api.create_metric("load", "SUM", valueProperty="$.tokens", **dimensions)["id"]
        load.run(Plan(port=server.port, connections=16, rate=options.rate, seconds=3.0))
        before = cpu_seconds(server.process.pid)
        plan = Plan(port=server.port, connections=16, rate=options.rate, seconds=options.seconds)
        process = load.start(plan)
        ages = _probe(api, metric, until=time.perf_counter() + options.seconds)
        outcome = load.finish(process)
        used = cpu_seconds(server.process.pid) - before
    show(
        "From 202 to usage",
        [
            {
                "offered events/s": f"{options.rate:,.0f}",
                "acked events/s": f"{outcome.per_second:,.0f}",
                "probes": str(len(ages)),
                "p50 ms": f"{percentile(ages, 0.5) * 1000:.0f}",
                "p99 ms": f"{percentile(ages, 0.99) * 1000:.0f}",
                "worst ms": f"{max(ages) * 1000:.0f}",
                "ingest p99 ms": f"{outcome.p99:.1f}",
                "server CPU %": f"{used / outcome.seconds * 100:.0f}",
            }
        ],
    )


def _probe(api: Api, metric: str, until: float) -> list[float]:
    """Post an event, ask for it, and look whether it is in the answer; the seconds each took."""
    ages: list[float] = []
    while time.perf_counter() < until:
        subject = f"probe_{len(ages)}"
        event = {"type": "load", "source": "/probe", "subject": subject, "data": {"tokens": 1, "model": "m"}}
        response = api.post_single(event)
        acknowledged = time.perf_counter()
        response.raise_for_status()
        if api.total(metric, subject=subject) != 1:
            raise AssertionError(f"usage after its position does not contain the event of {subject}")
        ages.append(time.perf_counter() - acknowledged)
        time.sleep(_PROBES_EVERY)
    return ages


if __name__ == "__main__":
    main()
