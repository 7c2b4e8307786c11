"""A metric made in arrears: how fast stored events are counted for it, and how fresh usage is meanwhile.

`python -m benchmarks.backfill [--events N] [--rate R] [--batch N] [--distributed [PARTITIONS]]`
"""

from __future__ import annotations

import argparse
import time

from benchmarks import load
from benchmarks.freshness import probe
from benchmarks.load import Plan
from benchmarks.report import percentile, show
from benchmarks.target import Target, add_options, target
from tests.api import Api

_PATIENCE = 600.0  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=2000.0, help="events a second meanwhile")
    parser.add_argument("--batch", type=int, default=10)
    add_options(parser)
    options = parser.parse_args()
    with target(partitions=options.distributed) as at:
        live = _create(at.usage, "SUM")
        stored = _fill(at, live, options.events)
        began = time.perf_counter()
        late = _create(at.usage, "SUM")
        _wait(at.usage, late)
        rows = [_row("alone", stored, time.perf_counter() - began, [])]

        plan = Plan(port=at.port, key=at.key, connections=16, rate=options.rate, batch=options.batch)
        process = load.start(plan.lasting(20.0))
        until = time.perf_counter() + 20.0
        ages = probe(at, live, lambda: time.perf_counter() < until)
        stored += load.finish(process).acknowledged
        rows.append(_row(f"no backfill, {options.rate:,.0f} events/s live", 0, 0.0, ages))

        process = load.start(plan.lasting(_PATIENCE))
        try:
            time.sleep(3.0)
            began = time.perf_counter()
            late = _create(at.usage, "MAX")
            ages = probe(at, live, lambda: not _complete(at.usage, late))
            seconds = time.perf_counter() - began
        finally:
            process.kill()
            process.wait()
        rows.append(_row(f"beside {options.rate:,.0f} events/s live", stored, seconds, ages))
    show(f"A backfill of {stored:,} stored events", rows)


def _row(what: str, stored: int, seconds: float, ages: list[float]) -> dict[str, str]:
    return {
        "what": what,
        "stored events/s": f"{stored / seconds:,.0f}" if seconds else "",
        "seconds": f"{seconds:.1f}" if seconds else "",
        "202 to usage p50 ms": f"{percentile(ages, 0.5) * 1000:.0f}" if ages else "",
        "p99 ms": f"{percentile(ages, 0.99) * 1000:.0f}" if ages else "",
        "worst ms": f"{max(ages) * 1000:.0f}" if ages else "",
    }


def _create(api: Api, aggregation: str) -> str:
    fields = {"valueProperty": "$.tokens", "groupBy": {"model": "$.model"}}
    return str(api.create_metric("load", aggregation, **fields)["id"])


def _fill(at: Target, metric: str, events: int) -> int:
    """Post at least that many events, and return how many once all are counted."""
    stored = 0
    while stored < events:
        stored += load.run(Plan(port=at.port, key=at.key, connections=8, batch=100, seconds=5.0)).acknowledged
    while _event_count(at.usage, metric) < stored:
        time.sleep(0.5)
    return stored


def _event_count(api: Api, metric: str) -> int:
    period = {"from": "1970-01-01T00:00:00Z", "to": "2199-12-31T00:00:00Z"}
    return int(api.get(f"/api/v1/billable-metrics/{metric}/usage", **period)["eventCount"])


def _complete(api: Api, metric: str) -> bool:
    [version] = api.get(f"/api/v1/billable-metrics/{metric}/versions")["data"]
    return bool(version["state"] == "active")


def _wait(api: Api, metric: str) -> None:
    while not _complete(api, metric):
        time.sleep(0.05)


if __name__ == "__main__":
    main()
