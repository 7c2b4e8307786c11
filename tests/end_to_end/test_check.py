"""`meterhouse check` finds what does not add up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.api import Api, cloud_event
from tests.running import Server, clean_environment, run_cli

# chDB takes one data directory in a process, so the tampering happens in another one.
_TAMPER = """
import sys, clickhouse_connect
client = clickhouse_connect.get_client(dsn=f"chdb://{sys.argv[1]}")
client.command(sys.argv[2], settings={"mutations_sync": 2})
client.close()
"""


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A data folder with some counted events, repeats among them, that no process uses."""
    with Server(tmp_path / "data") as server, Api.of(server) as api:
        api.create_metric("checked", "SUM", valueProperty="$.v", groupBy={"model": "$.model"})
        metric = api.create_metric("checked", "UNIQUE_COUNT", valueProperty="$.v")
        events = [cloud_event("checked", f"c{i}", {"v": i, "model": "m"}) for i in range(30)]
        api.ingest(*events)
        api.ingest(*events[:5], cloud_event("checked", "c7", {"v": 1}), cloud_event("other", "o1"))
        assert api.total(metric["id"]) == 30
        server.stop()
    return server.data


def test_an_untouched_folder_is_clean(stopped: Path) -> None:
    done = run_cli("check", "--data", str(stopped))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("as many") == 2
    assert "…" not in done.stdout  # every figure is whole, as narrow as a terminal may be


@pytest.mark.parametrize(
    ("statement", "named", "shown"),
    [
        ("ALTER TABLE events DELETE WHERE id = 'c3'", "events", "as many"),
        (
            "ALTER TABLE metered_events DELETE WHERE namespace != '' AND log_offset = 3",
            "metered_events",
            "by day: 30",
        ),
        (
            "ALTER TABLE rollups DELETE WHERE namespace != '' AND window_size = 'MINUTE'",
            "rollups_minute",
            "by minute: 0",
        ),
        (
            "ALTER TABLE rollups DELETE WHERE namespace != '' AND window_size = 'DAY'",
            "rollups_day",
            "by day: 0",
        ),
    ],
)
def test_rows_deleted_by_hand_are_found(stopped: Path, statement: str, named: str, shown: str) -> None:
    subprocess.run(
        [sys.executable, "-c", _TAMPER, str(stopped / "clickhouse"), statement],
        env=clean_environment(),
        check=True,
        timeout=60,
    )
    done = run_cli("check", "--data", str(stopped))
    assert done.returncode == 1, done.stdout + done.stderr
    assert named in done.stdout + done.stderr
    assert shown in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_folder_that_a_server_uses_is_refused_in_a_sentence(server: Server) -> None:
    done = run_cli("check", "--data", str(server.data))
    assert done.returncode != 0
    assert "in use" in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stdout + done.stderr
