"""Acknowledged events per second: singles over 64 keep-alive connections, and batches of 100.

Every acknowledgement is a commit on disk, or one of Kafka's, which works on the same cores. Events are
counted meanwhile, under one metric. `python -m benchmarks.ingest [--seconds S] [--distributed [PARTITIONS]]`
"""

from __future__ import annotations

import argparse

from benchmarks import load
from benchmarks.catching_up import seconds_until_counted
from benchmarks.load import Plan
from benchmarks.processes import peak_megabytes
from benchmarks.report import show
from benchmarks.target import Target, add_options, target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    add_options(parser)
    options = parser.parse_args()
    rows = []
    for name, connections, batch in (("single events", 64, 1), ("batches of 100", 16, 100)):
        with target(partitions=options.distributed) as at:
            plan = Plan(port=at.port, key=at.key, connections=connections, batch=batch, seconds=2.0)
            rows.append(
                {"what": name, "connections": str(connections), **_measured(at, plan, options.seconds)}
            )
    show("POST events, durable", rows)


def _measured(at: Target, plan: Plan, seconds: float) -> dict[str, str]:
    at.usage.create_metric("load", "SUM", valueProperty="$.tokens")
    load.run(plan)  # a warm server
    before = at.cpu_seconds()
    outcome = load.run(plan.lasting(seconds))
    used = {service: after - before[service] for service, after in at.cpu_seconds().items()}
    [taking, *_] = at.pids
    after = at.usage.create_metric("after", "COUNT")["id"]
    caught_up = seconds_until_counted(at.events, at.usage, after, "after", "after")
    return {
        "acked events/s": f"{outcome.per_second:,.0f}",
        "p50 ms": f"{outcome.p50:.1f}",
        "p99 ms": f"{outcome.p99:.1f}",
        "refused": str(outcome.refused),
        **{f"{service} CPU s": f"{spent:.1f}" for service, spent in used.items()},
        "client CPU s": f"{outcome.cpu_seconds:.1f}",
        "counted after s": f"{caught_up:.1f}",
        f"{taking} peak MB": f"{peak_megabytes(at.pids[taking]):.0f}",
    }


if __name__ == "__main__":
    main()
