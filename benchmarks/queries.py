"""Usage over 5,000,000 counted events: one subject over a month, and 1,000 subjects by day.

The events are written by SQL, as the aggregator would have left them.
`python -m benchmarks.queries [--events N]`
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from benchmarks.processes import resident_megabytes
from benchmarks.report import percentile, show
from meterhouse.adapters.clickhouse.rollup_sql import insert_rollups
from tests.api import Api
from tests.running import Server

_SUBJECTS: Final = 1000
_CHUNK: Final = 500_000  # rows an INSERT, as the aggregator's larger batches are
_MONTH: Final = {"start": "2026-04-01T00:00:00Z", "end": "2026-05-01T00:00:00Z"}
_RAGGED: Final = {"start": "2026-04-01T07:13:22.123456Z", "end": "2026-04-30T19:44:41.654321Z"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--fill", nargs=2, metavar=("FOLDER", "METRIC"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        folder, metric = options.fill
        _fill(folder, metric, options.events)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with Server(data) as server, Api.of(server) as api:
            fields = {"valueProperty": "$.tokens", "groupBy": {"model": "$.model"}}
            metric = str(api.create_metric("filled", "SUM", **fields)["id"])
            while "meterhouse-version-state" in api.client.get(_path(metric), params=_asked(_MONTH)).headers:
                time.sleep(0.1)
            server.stop()
        # chDB takes one data directory in a process.
        again = [sys.executable, "-m", "benchmarks.queries", "--events", str(options.events)]
        subprocess.run([*again, "--fill", str(data / "clickhouse"), metric], check=True)
        with Server(data) as server, Api.of(server) as api:
            show(f"Usage over {options.events:,} counted events", _measured(api, metric, options.events))
            print(f"server memory afterwards: {resident_megabytes(server.process.pid):.0f} MB")


def _measured(api: Api, metric: str, events: int) -> list[dict[str, str]]:
    count = api.meter(metric, groupBy="subject")["groupedValues"]
    counted = sum(one["eventCount"] for one in count)
    if counted != events:
        raise AssertionError(f"{counted} of {events} events are counted")
    one, day = {"subject": ""}, {"windowSize": "DAY"}
    return [
        _timed(api, metric, "one subject, a month", 300, _MONTH | one),
        _timed(api, metric, "one subject, a month, ragged bounds", 300, _RAGGED | one),
        _timed(
            api,
            metric,
            "one subject, a month, by day and model",
            300,
            _MONTH | one | day | {"groupBy": "model"},
        ),
        _timed(api, metric, "1,000 subjects by day", 10, _MONTH | day | {"groupBy": "subject"}),
        _timed(
            api, metric, "1,000 subjects by day, ragged bounds", 10, _RAGGED | day | {"groupBy": "subject"}
        ),
        _timed(api, metric, "everything, a month", 20, _MONTH),
    ]


def _timed(api: Api, metric: str, name: str, times: int, question: dict[str, str]) -> dict[str, str]:
    choice = random.Random(7)
    taken = []
    cells = 0
    for _ in range(times):
        asked = dict(question)
        if "subject" in asked:
            asked["subject"] = f"cus_{choice.randrange(_SUBJECTS)}"
        params = _asked(asked)
        began = time.perf_counter()
        response = api.client.get(_path(metric), params=params)
        taken.append((time.perf_counter() - began) * 1000)
        response.raise_for_status()
        cells = len(response.json().get("windowedValues", ()))
    return {
        "what": name,
        "times": str(times),
        "p50 ms": f"{percentile(taken, 0.5):.1f}",
        "p99 ms": f"{percentile(taken, 0.99):.1f}",
        "cells": f"{cells:,}",
    }


def _path(metric: str) -> str:
    return f"/v0/billableMetrics/{metric}/meter"


def _asked(question: dict[str, str]) -> dict[str, str]:
    renamed = {"start": "from", "end": "to"}
    return {renamed.get(name, name): value for name, value in question.items()}


_ROWS: Final = """
SELECT 'org_dev' AS namespace, {metric:String} AS billable_metric_id, 1 AS version,
    'cus_' || toString(number % 1000) AS subject, '' AS external_subject,
    toDateTime64('2026-04-01 00:00:00', 6, 'UTC')
        + toIntervalMicrosecond(cityHash64(number) % 2592000000000) AS time,
    time AS received_at, 0 AS log_partition, number AS log_offset,
    map('model', 'm' || toString(cityHash64(number, 1) % 5)) AS dimensions,
    toDecimal128(number % 4096, 18) AS value, toUInt128(0) AS unique_hash
FROM numbers({first:UInt64}, {rows:UInt64})
"""


def _fill(folder: str, metric: str, events: int) -> None:
    client = clickhouse_connect.get_client(dsn=f"chdb://{folder}")
    try:
        for first in range(0, events, _CHUNK):
            bound = {"metric": metric, "first": first, "rows": min(_CHUNK, events - first)}
            _insert(client, bound)
    finally:
        client.close()


def _insert(client: Client, bound: dict[str, object]) -> None:
    columns = (
        "namespace, billable_metric_id, version, subject, external_subject, time, received_at, "
        "log_partition, log_offset, dimensions, value, unique_hash"
    )
    client.command(f"INSERT INTO metered_events ({columns}) {_ROWS}", parameters=bound)
    for table, window in (("rollups_minute", "toStartOfMinute"), ("rollups_hour", "toStartOfHour")):
        client.command(
            insert_rollups(table, window, f"({_ROWS})", {"max_insert_threads": 1}), parameters=bound
        )


if __name__ == "__main__":
    main()
