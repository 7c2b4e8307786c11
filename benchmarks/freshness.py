"""From the 202 until a usage answer contains the event, while others come in.

`python -m benchmarks.freshness [--seconds S] [--rate R] [--batch N] [--distributed [PARTITIONS]]`
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from uuid import uuid4

from benchmarks import load
from benchmarks.load import Plan
from benchmarks.report import percentile, show
from benchmarks.target import Target, add_options, target

_PROBES_EVERY = 0.05  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=2000.0, help="events a second")
    parser.add_argument("--batch", type=int, default=1)
    add_options(parser)
    options = parser.parse_args()
    with target(partitions=options.distributed) as at:
        dimensions = {"groupBy": {"model": "$.model"}}
        metric = at.usage.create_metric("load", "SUM", valueProperty="$.tokens", **dimensions)["id"]
        plan = Plan(port=at.port, key=at.key, connections=16, rate=options.rate, batch=options.batch)
        load.run(plan.lasting(3.0))
        before = at.cpu_seconds()
        process = load.start(plan.lasting(options.seconds))
        until = time.perf_counter() + options.seconds
        ages = probe(at, metric, lambda: time.perf_counter() < until)
        outcome = load.finish(process)
        spent = {service: after - before[service] for service, after in at.cpu_seconds().items()}
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
                **{f"{name} CPU %": f"{used / outcome.seconds * 100:.0f}" for name, used in spent.items()},
            }
        ],
    )


def probe(at: Target, metric: str, going_on: Callable[[], bool]) -> list[float]:
    """Post an event, ask for it, and look whether it is in the answer; the seconds each took."""
    ages: list[float] = []
    while going_on():
        subject = f"probe_{uuid4().hex}"
        event = {"type": "load", "source": "/probe", "subject": subject, "data": {"tokens": 1, "model": "m"}}
        at.events.positions.clear()
        response = at.events.post_single(event)
        acknowledged = time.perf_counter()
        response.raise_for_status()
        if at.usage.total(metric, subject=subject, after=at.events.position) != 1:
            raise AssertionError(f"usage after its position does not contain the event of {subject}")
        ages.append(time.perf_counter() - acknowledged)
        time.sleep(_PROBES_EVERY)
    return ages


if __name__ == "__main__":
    main()
