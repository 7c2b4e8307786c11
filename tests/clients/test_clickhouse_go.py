"""clickhouse-go over HTTP, unmodified, against the read-only port and the stand-in for a server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import pytest

from meterhouse.adapters.clickhouse.read_only_engine import MAX_RESULT
from tests.api import Api, cloud_event
from tests.running import Server, free_port
from tests.servers.clickhouse_go import GoClient

METHODS: Final = ("none", "gzip", "lz4", "zstd", "deflate", "br")
ODD: Final = 'o\'dd \\ "näme"\t\n{x:String} %41'
_PATIENCE: Final = 60
_LARGE: Final = "99999999999999999999.999999999999999999"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The read-only port of `meterhouse dev`, with three counted events of which one was sent twice."""
    number = free_port()
    folder = tmp_path_factory.mktemp("go") / "data"
    with Server(folder, "--clickhouse-port", str(number)) as server, Api.of(server) as api:
        metric = {"valueProperty": "$.n", "groupBy": {"model": "$.model"}}
        ids = [api.create_metric("t", "LATEST", **metric)["id"]]
        ids += [api.create_metric("t", "UNIQUE_COUNT", valueProperty="$.model")["id"]]
        events = [
            cloud_event("t", "1", {"n": Decimal(_LARGE), "model": ODD}, time="2026-05-01T12:00:00.000001Z"),
            cloud_event("t", "2", {"n": Decimal("-0.000000000000000001"), "model": "b"}),
            cloud_event("t", "3", {"model": "b"}, time="2026-05-01T13:00:00Z"),
        ]
        api.ingest(*events, events[0])
        for id in ids:
            api.total(id)
        yield f"http://127.0.0.1:{number}"


@pytest.fixture(scope="module", params=["read-only port", "stand-in"])
def server(request: pytest.FixtureRequest) -> str:
    """Either of the two servers that speak for the engine."""
    url: str = request.getfixturevalue("port" if request.param == "read-only port" else "clickhouse_url")
    return url


def value(clickhouse_go: GoClient, url: str, sql: str, **options: Any) -> Any:
    [[found]] = clickhouse_go.rows(url, sql, **options)
    return found


@pytest.mark.parametrize("compression", METHODS)
def test_it_pings_and_reads_with_every_compression(
    clickhouse_go: GoClient, server: str, compression: str
) -> None:
    version = {"Query": "SELECT version(), currentDatabase()", "Keep": 1}
    many = {"Query": "SELECT number, repeat(toString(number), 9) FROM numbers(300000)", "Keep": 1}
    sum = {"Query": "SELECT toString(sum(number)), '' FROM numbers(10)", "Keep": 1}
    ping, found, block, last = clickhouse_go.ask(
        server, {"Ping": True}, version, many, sum, compression=compression
    )
    assert ping["error"] is None
    [[number, database]] = found["rows"]
    assert int(number.split(".")[0]) >= 22  # the data source asks for 22.7 and newer
    assert database == "default"
    assert (block["count"], block["error"]) == (300_000, None)
    assert last["rows"] == [["45", ""]]


def test_settings_of_the_connection_and_of_a_query_are_kept(clickhouse_go: GoClient, server: str) -> None:
    seconds, rows = "getSetting('max_execution_time')", "getSetting('max_result_rows')"
    question = {"Query": f"SELECT toString({seconds}), toString({rows})", "Keep": 1}
    one, other = clickhouse_go.ask(server, question | {"Settings": {"max_result_rows": 7}}, question)
    assert (one["error"], other["error"]) == (None, None)
    assert (one["rows"], other["rows"]) == ([["30", "7"]], [["30", "0"]])


def test_a_query_that_takes_longer_than_the_setting_fails_with_its_code(
    clickhouse_go: GoClient, server: str
) -> None:
    slow = "SELECT count() FROM numbers(100000000000) WHERE NOT ignore(sipHash128(number))"
    [answer] = clickhouse_go.ask(server, {"Query": slow, "Settings": {"max_execution_time": 1}})
    assert answer["error"]["code"] == 159, answer


def test_bound_parameters_arrive_as_they_were_given(clickhouse_go: GoClient, server: str) -> None:
    question = {
        "Query": "SELECT {text:String}, {id:UInt64} + 1, {list:Array(String)}, {at:DateTime64(6)}",
        "Parameters": {"text": "o'dd \\\\ x", "id": "41", "list": "['a','b']", "at": "2026-05-01 12:00:00.5"},
        "Keep": 1,
    }
    [answer] = clickhouse_go.ask(server, question)
    assert answer["rows"][0][:3] == ["o'dd \\ x", "42", ["a", "b"]], answer


def test_metered_events_are_read_exactly(clickhouse_go: GoClient, port: str) -> None:
    sql = (
        "SELECT value, time, dimensions, unique_hash > 0, namespace FROM metered_events"
        " WHERE namespace = 'org_dev' AND value IS NOT NULL ORDER BY time, value"
    )
    assert clickhouse_go.rows(port, sql) == [
        ["-0.000000000000000001", "2026-05-01T12:00:00Z", {"model": "b"}, "0", "org_dev"],
        [_LARGE, "2026-05-01T12:00:00.000001Z", {"model": ODD}, "0", "org_dev"],
    ]
    nothing = (
        "SELECT value, count() FROM metered_events WHERE namespace != '' AND value IS NULL GROUP BY value"
    )
    assert clickhouse_go.rows(port, nothing) == [[None, "3"]]


def test_rollups_are_read_exactly(clickhouse_go: GoClient, port: str) -> None:
    sql = (
        "SELECT window_start, sum(count), sum(sum) AS total, min(min), max(max), max(latest),"
        " arraySort(groupUniqArrayArray(unique_hashes)), [(1, toDecimal256(total, 18))]"
        " FROM rollups_hour WHERE namespace = 'org_dev' AND sum != 0 GROUP BY window_start"
    )
    [row] = clickhouse_go.rows(port, sql)
    assert row[:5] == [
        "2026-05-01T12:00:00Z", "2", _LARGE.removesuffix("9") + "8", "-0.000000000000000001", _LARGE,
    ]  # fmt: skip
    assert list(row[5].values())[-1] == _LARGE
    assert row[5]["at"] == "2026-05-01T12:00:00.000001Z"
    assert row[6] == []
    hashes = "SELECT arrayJoin(unique_hashes) AS h FROM rollups_hour WHERE namespace = 'org_dev' ORDER BY h"
    found = [int(hash) for [hash] in clickhouse_go.rows(port, hashes)]
    assert len(set(found)) == 2
    assert max(found) > 2**64


def test_every_table_is_read_as_it_is(clickhouse_go: GoClient, port: str) -> None:
    tables = [name for [name] in clickhouse_go.rows(port, "SHOW TABLES")]
    assert {"events", "event_ids", "event_repeats", "metered_events", "rollups_minute"} <= set(tables)
    for table in tables:
        expected = int(value(clickhouse_go, port, f"SELECT count() FROM {table}"))
        assert len(clickhouse_go.rows(port, f"SELECT * FROM {table}")) == expected
        assert expected > 0


def test_the_metrics_that_sql_needs_to_know_are_there(clickhouse_go: GoClient, port: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    sql = "SELECT aggregation, version, dimensions FROM billable_metrics ORDER BY aggregation"
    expected = [["LATEST", "1", ["model"]], ["UNIQUE_COUNT", "1", []]]
    while clickhouse_go.rows(port, sql) != expected:
        assert time.monotonic() < deadline
        time.sleep(0.2)


WRITES: Final = (
    "INSERT INTO events (id) VALUES ('x')",
    "CREATE TABLE more (a UInt8) ENGINE = Memory",
    "DROP TABLE events",
    "ALTER TABLE events DELETE WHERE 1",
    "SYSTEM STOP MERGES",
)


@pytest.mark.parametrize("compression", METHODS)
def test_writes_are_refused_by_name_and_code(clickhouse_go: GoClient, port: str, compression: str) -> None:
    answers = clickhouse_go.ask(port, *[{"Exec": sql} for sql in WRITES], compression=compression)
    for answer in answers:
        error = answer["error"]
        assert (error["code"], error["status"]) == (164, 403), error
        assert "This port is read only. (READONLY)" in error["message"]


ERRORS: Final = {
    "SELEC 1": (62, 400),
    "SELECT * FROM nowhere": (60, 404),
    "SELECT nowhere": (47, 404),
    "SELECT throwIf(number = 900000, 'too far') FROM numbers(1000000)": (395, 500),
}


@pytest.mark.parametrize("compression", METHODS)
def test_errors_come_back_with_the_engine_s_code(
    clickhouse_go: GoClient, server: str, compression: str
) -> None:
    answers = clickhouse_go.ask(server, *[{"Query": sql} for sql in ERRORS], compression=compression)
    found = [(answer["error"]["code"], answer["error"]["status"]) for answer in answers]
    assert found == list(ERRORS.values())


def test_a_result_of_many_blocks_comes_whole(clickhouse_go: GoClient, server: str) -> None:
    sql = "SELECT number, toString(number), toDecimal256(number, 18), [number] FROM numbers(1000000)"
    [answer] = clickhouse_go.ask(server, {"Query": sql, "Keep": 1})
    assert (answer["count"], answer["error"]) == (1_000_000, None)


def test_a_result_that_would_fill_the_memory_is_refused(clickhouse_go: GoClient, port: str) -> None:
    sql = f"SELECT repeat(toString(number % 10), 1000) FROM numbers({MAX_RESULT // 900})"
    [answer] = clickhouse_go.ask(port, {"Query": sql})
    assert answer["error"]["code"] == 396, answer
    assert "max bytes: 256.00 MiB" in answer["error"]["message"]
