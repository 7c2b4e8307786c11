"""What every suite shares."""

from __future__ import annotations

import os

import pytest

pytest_plugins = [
    "tests.clickhouse_fixtures",
    "tests.servers.clickhouse_go",
    "tests.servers.kafka",
    "tests.servers.postgres",
    "tests.servers.catalogs",
    "tests.servers.distributed",
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole is run by one worker more than there are cores, since many tests wait; a part by none."""
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        return min((os.cpu_count() or 1) + 1, 4)
    config.option.dist = "no"
    return 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that need the installation of many processes come last: it keeps running once it was started."""
    late = {item.path for item in items if _needs_installation(item)}
    items.sort(key=lambda item: item.path in late)


def _needs_installation(item: pytest.Item) -> bool:
    assert isinstance(item, pytest.Function)
    return "started" in item.fixturenames or "clients" in item.path.parts  # which ask for it by its name


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """On CI a skipped test is a failure: every suite can run there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("METERHOUSE_TEST_NO_SKIPS") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
