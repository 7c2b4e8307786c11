"""Usage over 10,000,000 counted events beside SQL over the same events as they came, on the same engine.

The events are written by SQL, as the aggregator would have left them: 1,000 subjects, 5 models, 31 days; two
billable metrics count each. Beside them lies a table of raw events as metering systems commonly keep them,
ordered by type, subject and time, with `data` as JSON that is read when the question is asked. Both are asked
over HTTP, usage through the query service and raw events through the read-only ClickHouse port of the
same server, one after the other.
`python -m benchmarks.queries [--events N]`
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import clickhouse_connect
import httpx

from benchmarks.counted import EVENT, chunks, count_users, merge, sum_up
from benchmarks.processes import resident_megabytes
from benchmarks.report import percentile, show
from tests.api import Api
from tests.running import Server, free_port

_SUBJECTS: Final = 1000
_MONTH: Final = {"from": "2026-05-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"}
_RAGGED: Final = {"from": "2026-05-01T07:13:22.123456Z", "to": "2026-05-31T19:44:41.654321Z"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, of which of the two metrics, and the SQL that finds it in raw events.

    `{subject}` stands for a subject of its own each time; `goal` is how many times faster usage has to be.
    """

    name: str
    metric: str
    asked: Mapping[str, str]
    times: int
    raw: str = ""
    goal: float | None = None


_TOKENS: Final = "JSONExtractFloat(data, 'tokens')"
_WHERE: Final = (
    "WHERE namespace = 'org_dev' AND type = 'filled'"
    " AND time >= toDateTime64('2026-05-01 00:00:00', 6, 'UTC')"
    " AND time < toDateTime64('2026-06-01 00:00:00', 6, 'UTC')"
)
_QUESTIONS: Final = (
    Question(
        name="one subject, a month",
        metric="tokens",
        asked=_MONTH | {"subject": "{subject}"},
        times=200,
        raw=f"SELECT sum({_TOKENS}) FROM raw_events {_WHERE} AND subject = '{{subject}}'",
        goal=1,
    ),
    Question(
        name="1,000 subjects by day",
        metric="tokens",
        asked=_MONTH | {"windowSize": "DAY", "groupBy": "subject"},
        times=7,
        raw=f"SELECT toStartOfDay(time), subject, sum({_TOKENS}) FROM raw_events {_WHERE} GROUP BY ALL",
        goal=10,
    ),
    Question(
        name="unique users by day, of one model",
        metric="users",
        asked=_MONTH | {"windowSize": "DAY", "filterGroupBy": '{"model":"m1"}'},
        times=7,
        raw=(
            f"SELECT toStartOfDay(time), uniqExact(JSONExtractString(data, 'user')) FROM raw_events {_WHERE}"
            " AND JSONExtractString(data, 'model') = 'm1' GROUP BY ALL"
        ),
        goal=5,
    ),
    Question(
        name="by hour and model",
        metric="tokens",
        asked=_MONTH | {"windowSize": "HOUR", "groupBy": "model"},
        times=7,
        raw=(
            f"SELECT toStartOfHour(time), JSONExtractString(data, 'model'), sum({_TOKENS})"
            f" FROM raw_events {_WHERE} GROUP BY ALL"
        ),
        goal=10,
    ),
    Question(
        name="one subject, ragged bounds",
        metric="tokens",
        asked=_RAGGED | {"subject": "{subject}"},
        times=200,
    ),
    Question(
        name="one subject by day and model",
        metric="tokens",
        asked=_MONTH | {"windowSize": "DAY", "groupBy": "model", "subject": "{subject}"},
        times=200,
    ),
    Question(
        name="1,000 subjects by day, ragged bounds",
        metric="tokens",
        asked=_RAGGED | {"windowSize": "DAY", "groupBy": "subject"},
        times=7,
    ),
    Question(name="everything", metric="tokens", asked=_MONTH, times=20),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--fill", nargs=3, metavar=("FOLDER", "TOKENS", "USERS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        folder, tokens, users = options.fill
        _fill(folder, tokens, users, options.events)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with Server(data) as server, Api.of(server) as api:
            metrics = {
                "tokens": _created(api, "SUM", "$.tokens"),
                "users": _created(api, "UNIQUE_COUNT", "$.user"),
            }
            server.stop()
        # chDB takes one data directory in a process.
        again = [sys.executable, "-m", "benchmarks.queries", "--events", str(options.events)]
        subprocess.run([*again, "--fill", str(data / "clickhouse"), *metrics.values()], check=True)
        port = free_port()
        with (
            Server(data, "--clickhouse-port", str(port)) as server,
            Api.of(server) as api,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as clickhouse,
        ):
            _require(api, clickhouse, metrics, options.events)
            rows = [_measured(api, clickhouse, metrics, question) for question in _QUESTIONS]
            show(f"Usage over {options.events:,} counted events", rows)
            print(f"server memory afterwards: {resident_megabytes(server.process.pid):.0f} MB")


def _created(api: Api, aggregation: str, value: str) -> str:
    """A metric that is complete."""
    fields = {"valueProperty": value, "groupBy": {"model": "$.model"}}
    id = str(api.create_metric("filled", aggregation, **fields)["id"])
    while "meterhouse-version-state" in api.client.get(_meter(id), params=_MONTH).headers:
        time.sleep(0.1)
    return id


def _require(api: Api, clickhouse: httpx.Client, metrics: Mapping[str, str], events: int) -> None:
    """Both are of the same events."""
    groups = api.meter(metrics["tokens"], groupBy="model")["groupedValues"]
    counted = sum(one["eventCount"] for one in groups)
    raw = int(clickhouse.post("/", content="SELECT count() FROM raw_events").raise_for_status().text)
    if not counted == raw == events:
        raise AssertionError(f"{counted} events are counted and {raw} kept, of {events}")


def _measured(
    api: Api, clickhouse: httpx.Client, metrics: Mapping[str, str], question: Question
) -> dict[str, str]:
    answer = b"{}"

    def usage(subject: str) -> None:
        nonlocal answer
        asked = {name: text.replace("{subject}", subject) for name, text in question.asked.items()}
        answer = api.client.get(_meter(metrics[question.metric]), params=asked).raise_for_status().content

    def raw(subject: str) -> None:
        statement = question.raw.replace("{subject}", subject)
        clickhouse.post("/", content=f"{statement} FORMAT JSONCompact").raise_for_status()

    taken = _timed(usage, question.times)
    row = {
        "what": question.name,
        "p50 ms": f"{percentile(taken, 0.5):.1f}",
        "p99 ms": f"{percentile(taken, 0.99):.1f}",
        "cells": f"{len(json.loads(answer).get('windowedValues', ())):,}",
        "raw p50 ms": "",
        "times faster": "",
        "goal": "" if question.goal is None else f"{question.goal:g}",
    }
    if question.raw:
        beside = percentile(_timed(raw, question.times), 0.5)
        row["raw p50 ms"] = f"{beside:.1f}"
        row["times faster"] = f"{beside / percentile(taken, 0.5):.1f}"
    return row


def _timed(ask: Callable[[str], None], times: int) -> list[float]:
    """Milliseconds until each answer is there, once it is warm."""
    choice = random.Random(7)
    ask("cus_0")
    taken = []
    for _ in range(times):
        subject = f"cus_{choice.randrange(_SUBJECTS)}"
        began = time.perf_counter()
        ask(subject)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def _meter(metric: str) -> str:
    return f"/v0/billableMetrics/{metric}/meter"


# --- the tables ---

_RAW_TABLE: Final = """
CREATE TABLE raw_events
(
    namespace String, id String, type LowCardinality(String), source LowCardinality(String), subject String,
    time DateTime64(6, 'UTC'), data String
)
ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY (namespace, type, subject, time)
"""
_RAW: Final = """
INSERT INTO raw_events
SELECT 'org_dev', 'event-' || toString(number), 'filled', '/benchmark', subject, time,
    format('{{"tokens":{},"model":"{}","user":"{}"}}', toString(number % 4096), model, user)
FROM (SELECT number, {event} FROM numbers({first:UInt64}, {rows:UInt64}))
"""


def _fill(folder: str, tokens: str, users: str, events: int) -> None:
    client = clickhouse_connect.get_client(dsn=f"chdb://{folder}")
    subjects = [f"cus_{number}" for number in range(_SUBJECTS)]
    try:
        client.command(_RAW_TABLE)
        for bound in chunks(events, subjects):
            client.command(_RAW.replace("{event}", EVENT), parameters=bound)
            sum_up(client, tokens, bound)
            count_users(client, users, bound)
        merge(client, "raw_events")
    finally:
        client.close()


if __name__ == "__main__":
    main()
