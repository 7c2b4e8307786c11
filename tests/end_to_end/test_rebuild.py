"""`meterhouse rebuild`: the way on where catalog and ClickHouse contradict each other."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.api import Api, cloud_event
from tests.running import PATIENCE, NotReady, Server, run_cli
from tests.servers.distributed import Distributed


def _count(api: Api, *numbers: int) -> None:
    api.ingest(*[cloud_event("rebuilt", f"r{number}", {"v": number}) for number in numbers])


def _last_words(folder: Path) -> str:
    """What a server on the folder says before it ends by itself."""
    try:
        with Server(folder) as server:
            server.wait(PATIENCE)
            return server.output
    except NotReady as early:
        return str(early)


def test_a_folder_whose_catalog_was_restored_counts_its_log_anew(tmp_path: Path) -> None:
    folder, backup = tmp_path / "data", tmp_path / "backup"
    with Server(folder) as server, Api.of(server) as api:
        metric = api.create_metric("rebuilt", "SUM", valueProperty="$.v")["id"]
        _count(api, 1, 2, 3)
        assert api.total(metric) == 6
        server.stop()
    backup.mkdir()
    for file in folder.glob("catalog.*"):
        shutil.copy(file, backup)
    with Server(folder) as server, Api.of(server) as api:
        _count(api, 3, 4)
        assert api.total(metric) == 10
        server.stop()
    for file in folder.glob("catalog.*"):
        file.unlink()
    for file in backup.iterdir():
        shutil.copy(file, folder)

    assert "meterhouse rebuild" in _last_words(folder)
    assert run_cli("check", "--data", str(folder)).returncode == 1

    rebuilt = run_cli("rebuild", "--yes", "--data", str(folder))
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    checked = run_cli("check", "--data", str(folder))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with Server(folder) as server, Api.of(server) as api:
        assert api.total(metric) == 10
        server.stop()


def test_nothing_is_deleted_before_somebody_agreed(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server, Api.of(server) as api:
        _count(api, 1)
        server.stop()
    asked = run_cli("rebuild", "--data", str(tmp_path / "data"))  # it reads an empty standard input
    assert asked.returncode == 1
    assert run_cli("check", "--data", str(tmp_path / "data")).returncode == 0


def test_an_installation_counts_its_log_anew_once_nobody_counts_it(distributed: Distributed) -> None:
    environment = {**distributed.environment, "METERHOUSE_AGGREGATOR_SETTLE": "PT1S"}
    with distributed.api() as api:
        metric = api.create_metric("rebuilt", "SUM", valueProperty="$.v")["id"]
        _count(api, 1, 2, 3)
        assert api.total(metric) == 6
        refused = run_cli("rebuild", "--yes", env=environment)
        assert refused.returncode == 1
        assert "2 members: stop every aggregator first" in " ".join(refused.stderr.split())
        for name in ("aggregator-1", "aggregator-2"):
            distributed.stop(name)
        rebuilt = run_cli("rebuild", "--yes", env=environment)
        assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
        assert api.total(metric, after="0:0") == 0
        distributed.put_right()
        assert api.total(metric) == 6
    distributed.check()
