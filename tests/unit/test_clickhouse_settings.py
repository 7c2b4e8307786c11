"""The way to ClickHouse as the environment says it."""

from __future__ import annotations

import pytest

from meterhouse.adapters.clickhouse.address import Address
from meterhouse.adapters.clickhouse.client import ANSWER_TIMEOUT
from meterhouse.settings import ClickHouseSettings


def test_the_environment_says_where_and_as_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"URL": "https://clickhouse:9440/usage", "USER": "house", "PASSWORD": "hidden", "CLUSTER": "main"}
    for name, value in given.items():
        monkeypatch.setenv(f"METERHOUSE_CLICKHOUSE_{name}", value)
    settings = ClickHouseSettings()
    assert settings.url.get_secret_value() == given["URL"]
    assert (settings.user, settings.password.get_secret_value(), settings.cluster) == (
        "house",
        "hidden",
        "main",
    )
    assert "hidden" not in repr(settings) + str(settings.model_dump())


def test_without_an_environment_it_is_one_node_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "USER", "PASSWORD", "CLUSTER", "TIMEOUT"):
        monkeypatch.delenv(f"METERHOUSE_CLICKHOUSE_{name}", raising=False)
    settings = ClickHouseSettings()
    address = Address.parse(settings.url.get_secret_value())
    assert (address.scheme, address.host, address.port, address.database) == (
        "http",
        "localhost",
        8123,
        "default",
    )
    assert (settings.cluster, settings.timeout) == ("", ANSWER_TIMEOUT)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h", ("http", "h", 8123, "default", "", "default")),
        ("https://h/", ("https", "h", 8443, "default", "", "default")),
        ("https://h:443/db", ("https", "h", 443, "default", "", "db")),
        ("http://u:p%40%2F@[::1]:1/my%20db", ("http", "::1", 1, "u", "p@/", "my db")),
    ],
)
def test_urls_say_what_they_leave_out_by_default(url: str, expected: tuple[object, ...]) -> None:
    a = Address.parse(url)
    assert (a.scheme, a.host, a.port, a.user, a.password, a.database) == expected


def test_the_embedded_engine_is_a_folder() -> None:
    assert Address.parse("chdb:///var/lib/meter").folder == "/var/lib/meter"
    assert Address.parse("http://h").folder is None
