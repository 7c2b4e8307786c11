"""`meterhouse migrate` and `meterhouse keys` on the catalog that the environment names."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterhouse.adapters.catalog.schema import HEAD
from tests.running import free_port, run_cli
from tests.servers.postgres import PostgresServer


@pytest.fixture
def empty(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database without tables."""
    url = postgres.new_database(migrated=False)
    yield url
    postgres.drop(url)


def _run(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_cli(*arguments, env={"METERHOUSE_CATALOG_URL": url})


def test_keys_live_in_the_catalog_that_the_environment_names(empty: str) -> None:
    refused = _run(empty, "keys", "create", "--merchant", "org_a")
    assert refused.returncode == 1
    assert "run `meterhouse migrate`" in refused.stderr
    for _ in range(2):
        migrated = _run(empty, "migrate")
        assert (migrated.returncode, migrated.stderr) == (0, "")
        assert migrated.stdout == f"The catalog is at revision {HEAD}.\n"
    created = _run(empty, "keys", "create", "--merchant", "org_a", "--name", "ci")
    assert created.stdout.startswith("mh_"), created.stderr
    [row] = [line for line in _run(empty, "keys", "list").stdout.splitlines() if "org_a" in line]
    id = next(word for word in row.replace("│", " ").split() if word)
    assert _run(empty, "keys", "revoke", id).stdout == f"{id} is revoked\n"


def test_a_folder_that_is_named_is_meant(tmp_path: Path) -> None:
    done = run_cli(
        *("keys", "create", "--merchant", "org_a", "--data", str(tmp_path / "data")),
        env={"METERHOUSE_CATALOG_URL": "postgresql://nobody@127.0.0.1:1/nowhere"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "data" / "catalog.sqlite").exists()


def test_without_an_address_there_is_nothing_to_migrate() -> None:
    done = run_cli("migrate")
    assert (done.returncode, done.stdout) == (1, "")
    assert "METERHOUSE_CATALOG_URL" in done.stderr


@pytest.mark.parametrize("command", [["migrate"], ["keys", "list"]])
@pytest.mark.parametrize(
    "url", ["postgresql://meter:s3cret@127.0.0.1:{port}/x", "postgresql:/meter:s3cret@x", "s3cret"]
)
def test_a_failure_is_a_sentence_without_the_password(command: list[str], url: str) -> None:
    done = _run(url.format(port=free_port()), *command)
    assert done.returncode == 1
    assert done.stderr.startswith("meterhouse: ")
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stdout + done.stderr
