"""The process is killed at random moments while clients post; nothing is lost and nothing counts twice."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Event
from typing import Final

import pytest

from tests.api import Api
from tests.faults.posting import CLIENTS, Poster, assert_exact, create, late_of, metrics_of
from tests.running import Server, free_port, run_cli

pytestmark = pytest.mark.faults

_KILLS: Final = 22
_KIND: Final = "fault.random"


def test_random_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    random = Random(seed)
    data, port, over = tmp_path / "data", free_port(), Event()
    posters = [Poster(number, f"http://127.0.0.1:{port}", over, _KIND) for number in range(CLIENTS)]
    ids: dict[str, str] = {}
    late: list[str] = []
    with ThreadPoolExecutor(CLIENTS) as threads:
        running: list[Future[None]] = []
        try:
            for kill in range(_KILLS):
                with Server(data, port=port) as server:
                    if kill in (0, _KILLS // 2):
                        with Api.of(server) as api:
                            if kill == 0:
                                ids = {name: create(api, one) for name, one in metrics_of(_KIND).items()}
                            else:
                                late = [create(api, late_of(_KIND))]
                    running = running or [threads.submit(poster.run) for poster in posters]
                    over.wait(random.uniform(0.0, 1.5))
                    server.kill()
            with Server(data, port=port) as server, Api.of(server) as api:
                over.set()
                for one in running:
                    one.result(120)
                assert_exact(api, ids, late, posters)
                server.stop()
        finally:
            over.set()
    retries = sum(poster.retries for poster in posters)
    print(f"{sum(len(poster.acknowledged) for poster in posters)} acknowledged, {retries} retries")
    assert retries > 0, "no kill met a request"
    checked = run_cli("check", "--data", str(data), seconds=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr
