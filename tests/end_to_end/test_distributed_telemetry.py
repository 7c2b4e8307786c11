"""What the processes of the distributed form show of themselves: traces over Kafka, instruments, logs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests import documents
from tests.api import Api, cloud_event
from tests.end_to_end.test_metrics import samples
from tests.otlp_collector import Collector
from tests.running import clean_environment

_SERVICES: Final = ("ingest", "aggregator", "query")
_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
_CALLER: Final = "00f067aa0ba902b7"


def ctl(command: str, *options: str, folder: Path, env: Mapping[str, str] | None = None) -> None:
    """Run deploy/local/ctl to its end, which must be a good one."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local.control", command, *options, "--dir", str(folder)],
        env=clean_environment(env),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Path]:
    """One process of each service, whose spans the collector gets."""
    folder = tmp_path_factory.mktemp("local")
    try:
        ctl("up", "--ingest", "1", "--aggregator", "1", folder=folder, env=collector.environment)
        yield folder
    finally:
        ctl("down", folder=folder)


@pytest.fixture
def api(folder: Path) -> Iterator[Api]:
    lines = (folder / "env").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines)
    with Api(env["METERHOUSE_URL"], env["METERHOUSE_KEY"]) as calls:
        yield calls


def _url(folder: Path, service: str) -> str:
    port = json.loads((folder / "plan.json").read_text())["services"][f"{service}-1"]
    return f"http://127.0.0.1:{port}"


def test_a_trace_goes_over_kafka_from_one_process_to_another(api: Api, collector: Collector) -> None:
    metric = api.create_metric("traced", "COUNT")
    api.client.headers["traceparent"] = f"00-{_TRACE}-{_CALLER}-01"
    api.ingest(*[cloud_event("traced", f"t{number}") for number in range(20)])
    request = collector.wait_for(lambda one: one.name == "POST /api/v1/events" and one.trace == _TRACE)
    sending = collector.wait_for(lambda one: one.parent == request.id)
    assert (request.parent, request.service, sending.service) == (
        _CALLER,
        "meterhouse-ingest",
        request.service,
    )
    context = (_TRACE, sending.id)
    inserting = collector.wait_for(lambda one: one.name == "insert events" and context in one.links)
    assert inserting.service == "meterhouse-aggregator"
    assert api.total(metric["id"]) == 20
    asked = collector.wait_for(lambda one: one.name.startswith("GET ") and one.trace == _TRACE)
    assert asked.service == "meterhouse-query"
    statement = collector.wait_for(lambda one: one.name == "SELECT" and one.parent == asked.id)
    assert statement.service == "meterhouse-query"


def test_each_process_shows_its_own_instruments(folder: Path, api: Api) -> None:
    metric = api.create_metric("shown", "SUM", valueProperty="$.v")
    event = cloud_event("shown", "s1", {"v": 1})
    api.ingest(event, cloud_event("shown", "s2", {"v": "no"}))
    api.ingest(event)
    assert api.post_single({}).status_code == 400
    assert api.total(metric["id"]) == 1
    shown = {service: samples(_url(folder, service)) for service in _SERVICES}
    for service, kind in documents.INSTRUMENTS.items():
        for name in documents.names_of(kind):
            found = [one for one in _SERVICES if any(sample.startswith(name) for sample in shown[one])]
            assert found == ([service] if service in _SERVICES else list(_SERVICES)), name
    assert shown["ingest"]["meterhouse_ingest_accepted_events_total"] >= 3
    assert shown["ingest"]['meterhouse_ingest_refused_requests_total{reason="validation_error"}'] >= 1
    counted = shown["aggregator"]
    assert counted['meterhouse_aggregator_unusable_total{reason="not_a_number"}'] >= 1
    assert counted["meterhouse_aggregator_repeats_total"] >= 1
    pools = {
        "ingest": ["catalog"],
        "aggregator": ["catalog", "clickhouse"],
        "query": ["catalog", "clickhouse"],
    }
    for service, names in pools.items():
        for pool in names:
            assert shown[service][f'meterhouse_pool_wait_seconds_count{{pool="{pool}"}}'] > 0


def test_all_that_the_processes_say_is_json(folder: Path, api: Api) -> None:
    for service in _SERVICES:
        assert httpx.get(_url(folder, service) + "/readyz").status_code == 200
        text = (folder / "processes" / f"{service}-1.log").read_text()
        lines = [
            line for line in text.splitlines() if not line.startswith(f"meterhouse {service} is ready at")
        ]
        for line in lines:
            assert json.loads(line).keys() >= {"timestamp", "level", "logger", "event"}, line
    assert '"event": "claimed"' in (folder / "processes" / "aggregator-1.log").read_text()
