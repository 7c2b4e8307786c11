"""Aggregators and ingest processes of the distributed form are killed at random moments under load.

Kafka, PostgreSQL and ClickHouse go on; what is killed is started again. Nothing is lost and nothing counts
twice.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Event
from typing import Final

import pytest

from tests.api import Api
from tests.faults.posting import CLIENTS, LATE, METRICS, Poster, assert_exact, create
from tests.running import clean_environment, run_cli

pytestmark = pytest.mark.faults

_KILLS: Final = 8
_VICTIMS: Final = ("aggregator-1", "aggregator-2", "aggregator-1", "aggregator-2", "ingest-1", "ingest-2")


def ctl(*arguments: str, folder: Path) -> str:
    """Run deploy/local/ctl to its end, which must be a good one."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local.control", *arguments, "--dir", str(folder)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("local")
    try:
        ctl("up", folder=folder)
        yield folder
    finally:
        ctl("down", folder=folder)


def environment(folder: Path) -> dict[str, str]:
    """What `up` left for whoever wants to use the installation."""
    lines = (folder / "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_killed_processes_lose_and_double_nothing(installation: Path) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    random, over = Random(seed), Event()
    env = environment(installation)
    url, key = env["METERHOUSE_URL"], env["METERHOUSE_KEY"]
    posters = [Poster(number, url, over, key) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as threads, Api(url, key) as api:
        ids = {name: create(api, metric) for name, metric in METRICS.items()}
        running = [threads.submit(poster.run) for poster in posters]
        try:
            for kill in range(_KILLS):
                over.wait(random.uniform(0.0, 1.5))
                victim = random.choice(_VICTIMS)
                ctl("kill", victim, folder=installation)
                if kill == _KILLS // 2:
                    ids["late"] = create(api, LATE)
                ctl("start", victim, folder=installation)
        finally:
            over.set()
        for one in running:
            one.result(120)
        assert_exact(api, ids, posters)
    print(f"{sum(len(poster.acknowledged) for poster in posters)} acknowledged")
    checked = run_cli("check", seconds=240, env=env)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_partitions_of_a_dead_aggregator_are_counted_by_another(installation: Path) -> None:
    env = environment(installation)
    with Api(env["METERHOUSE_URL"], env["METERHOUSE_KEY"]) as api:
        metric = create(api, METRICS["COUNT"])
        ctl("kill", "aggregator-1", folder=installation)
        try:
            api.ingest(*_events(40))  # enough to meet every partition, those of the dead one among them
            assert api.positions.keys() == {"0", "1", "2", "3"}
            period = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "after": api.position}
            deadline = time.monotonic() + 60  # benchmarks say how long it takes
            status = 504
            while status == 504 and time.monotonic() < deadline:
                status = api.client.get(f"/v0/billableMetrics/{metric}/meter", params=period).status_code
            assert status == 200
        finally:
            ctl("start", "aggregator-1", folder=installation)


def _events(count: int) -> list[dict[str, object]]:
    return [
        {
            "specversion": "1.0",
            "id": f"takeover-{number}",
            "source": "/faults",
            "type": "fault.takeover",
            "subject": "cus_1",
            "time": "2026-01-01T00:00:00Z",
            "data": {},
        }
        for number in range(count)
    ]
