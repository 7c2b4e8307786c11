"""The embedded engine behind ClickHouse's HTTP interface, as the tools that read it see it."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import clickhouse_connect
import httpx
import pytest
import uvicorn
import zstandard
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.native_blocks import FIRST_FRAMED
from meterhouse.adapters.clickhouse.read_only import MAX_QUERY, create_app
from meterhouse.adapters.clickhouse.read_only_engine import MAX_RESULT

# It serves the engine of its own process.
pytestmark = pytest.mark.parametrize("clickhouse_dsn", ["embedded"], indirect=True)

ODD = 'o\'dd \\ "näme"\t\n{x:String}'


@contextmanager
def served(app: object) -> Iterator[str]:
    """Serve the application on a free loopback port in a thread of its own; yields the URL."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_config=None)  # type: ignore[arg-type] # any ASGI application
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
async def port(clickhouse: ClickHousePool, anyio_backend: str) -> AsyncIterator[str]:
    """The URL of a port over a database with a few rows (naming the backend lets plain tests use it)."""

    def fill(client: Client) -> None:
        client.command(
            "CREATE TABLE things (id UInt64, name LowCardinality(String), cost Decimal(76, 18)) ORDER BY id"
        )
        client.insert("things", [[1, "one", Decimal("1.5")], [2, ODD, Decimal("0.000000000000000001")]])

    await clickhouse.run(fill)
    with served(create_app(clickhouse)) as url:
        yield url


def connected(url: str) -> Client:
    return clickhouse_connect.get_client(host="127.0.0.1", port=httpx.URL(url).port)


def ask(url: str, query: str, **parameters: str) -> httpx.Response:
    return httpx.post(url, params=parameters, content=query)


def test_ping_and_an_empty_request_answer_ok(port: str) -> None:
    assert httpx.get(f"{port}/ping").text == "Ok.\n"
    assert httpx.get(port).text == "Ok.\n"


def test_clickhouse_connect_reads_rows_exactly(port: str) -> None:
    with connected(port) as client:
        rows = client.query("SELECT id, name, cost FROM things ORDER BY id").result_rows
        assert rows == [(1, "one", Decimal("1.5")), (2, ODD, Decimal("0.000000000000000001"))]
        assert client.command("SELECT count() FROM things") == 2
        assert client.query("SELECT id FROM things LIMIT 0").column_names == ("id",)
        assert client.query_arrow("SELECT id FROM things ORDER BY id").to_pydict() == {"id": [1, 2]}


def test_bound_parameters_arrive_as_they_were_given(port: str) -> None:
    with connected(port) as client:
        parameters = {"name": ODD, "several": [ODD, "x"], "id": 2}
        found = client.query(
            "SELECT id, {name:String}, {several:Array(String)} FROM things"
            " WHERE name = {name:String} AND id = {id:UInt8}",
            parameters=parameters,
        )
        assert found.result_rows == [(2, ODD, [ODD, "x"])]


@pytest.mark.parametrize("where", ["url", "body", "both", "gzip", "zstd"])
def test_a_query_may_come_in_the_url_or_the_body(port: str, where: str) -> None:
    sql = "SELECT name FROM things WHERE id = {id:UInt64} -- the first\nFORMAT JSONCompactEachRow"
    match where:
        case "url":
            answer = httpx.get(port, params={"query": sql, "param_id": "1"})
        case "body":
            answer = ask(port, sql, param_id="1")
        case "both":
            answer = httpx.post(port, params={"query": "SELECT name", "param_id": "1"}, content=sql[11:])
        case "gzip":
            answer = httpx.post(port, params={"param_id": "1"}, content=gzip.compress(sql.encode()),
                                headers={"Content-Encoding": "gzip"})  # fmt: skip
        case _:
            answer = httpx.post(port, params={"param_id": "1"}, content=zstandard.compress(sql.encode()),
                                headers={"Content-Encoding": "zstd"})  # fmt: skip
    assert (answer.status_code, answer.text) == (200, '["one"]\n')
    assert answer.headers["X-ClickHouse-Format"] == "JSONCompactEachRow"


def test_format_settings_and_database_come_from_the_url(port: str) -> None:
    answer = ask(port, "SELECT currentDatabase() AS d, getSetting('max_threads') AS n",
                 default_format="JSONEachRow", database="system", max_threads="3")  # fmt: skip
    assert answer.json() == {"d": "system", "n": 3}
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert answer.headers["X-ClickHouse-Summary"] == "{}"
    assert answer.headers["X-ClickHouse-Timezone"]
    assert answer.headers["X-ClickHouse-Query-Id"]
    assert ask(port, "SELECT 1, 'a\tb'").text == "1\ta\\tb\n"


def test_settings_of_one_request_do_not_stay_for_the_next(port: str) -> None:
    assert ask(port, "SELECT getSetting('max_threads')", max_threads="3").text == "3\n"
    assert ask(port, "SELECT getSetting('max_threads') = 3").text == "0\n"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_answers_are_compressed_when_asked(port: str, encoding: str) -> None:
    query = {"query": "SELECT number FROM numbers(5000)", "enable_http_compression": "1"}
    with httpx.stream("GET", port, params=query, headers={"Accept-Encoding": encoding}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["Content-Encoding"] == encoding
    plain = gzip.decompress(raw) if encoding == "gzip" else zstandard.ZstdDecompressor().decompress(raw)
    assert plain == b"".join(b"%d\n" % number for number in range(5000))


WRITES = [
    "INSERT INTO things VALUES (3, 'three', 3)",
    "INSERT INTO things SELECT 3, 'three', 3",
    "CREATE TABLE more (id UInt8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE more (id UInt8)",
    "DROP TABLE things",
    "TRUNCATE TABLE things",
    "ALTER TABLE things DELETE WHERE 1",
    "OPTIMIZE TABLE things",
    "SYSTEM STOP MERGES",
    "KILL QUERY WHERE 1",
    "SET readonly = 0",
    "USE system",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 INTO OUTFILE '{outside}.out'",
    "EXPLAIN SELECT 1 INTO OUTFILE '{outside}.out'",
    "SHOW TABLES INTO OUTFILE '{outside}.out'",
    "SELECT 1; DROP TABLE things",
    "SELECT 1; SYSTEM STOP MERGES",
    "SELECT * FROM file('{outside}')",
    "SELECT file('{outside}')",
    "SELECT 1 WHERE '' IN (SELECT file('{outside}'))",
    "SELECT 1 WHERE 1 IN file('{outside}', CSV, 'a Int64')",
    "DESCRIBE file('{outside}')",
    "EXPLAIN SELECT file('{outside}')",
    "SELECT * FROM default.`{outside}`",
    "DESCRIBE TABLE default.`{outside}`",
    "SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a Int8')",
    "SELECT * FROM Python(ODD)",
    "WITH (SELECT file('{outside}')) AS stolen SELECT stolen",
]


@pytest.mark.parametrize("statement", WRITES)
def test_whatever_is_not_reading_tables_is_refused(port: str, statement: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("a,b\n12345,2\n")
    for database in ({}, {"database": "default"}):
        answer = ask(port, statement.format(outside=outside), **database)
        assert answer.status_code in (400, 403), answer.text
        assert answer.text.startswith("Code: ")
        assert answer.headers["X-ClickHouse-Exception-Code"] in ("62", "164")
        assert "12345" not in answer.text
    assert [file.name for file in tmp_path.iterdir()] == ["outside.csv"]
    assert ask(port, "SELECT count() FROM things").text == "2\n"


CUTTING = [
    {"limit": "1"},
    {"limit": "2", "offset": "1"},
    {"max_result_rows": "1", "result_overflow_mode": "break"},
    {"max_rows_to_read": "1", "read_overflow_mode": "break"},
    {"max_block_size": "1", "max_result_rows": "1", "result_overflow_mode": "break"},
]


@pytest.mark.parametrize("settings", CUTTING, ids=str)
@pytest.mark.parametrize("statement", ["SELECT file('{outside}')", "SELECT 1 INTO OUTFILE '{outside}.out'"])
def test_no_setting_makes_the_port_look_away(
    port: str, settings: dict[str, str], statement: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("a,b\n12345,2\n")
    answer = ask(port, statement.format(outside=outside), **settings)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "164"), answer.text
    assert [file.name for file in tmp_path.iterdir()] == ["outside.csv"]


@pytest.mark.parametrize(
    "setting", ["additional_result_filter", "additional_table_filters", "implicit_table_at_top_level"]
)
def test_no_setting_adds_to_a_statement(port: str, setting: str) -> None:
    answer = ask(port, "SELECT 1", **{setting: "file('/etc/hostname') != ''"})
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "164"), answer.text


def test_limits_of_a_reader_hold_for_its_own_statement_alone(port: str) -> None:
    assert ask(port, "SELECT 1, 2, 3", max_result_rows="1").text == "1\t2\t3\n"
    assert ask(port, "SELECT id FROM things ORDER BY id", limit="1").text == "1\n"
    assert ask(port, "SELECT id FROM things", max_result_rows="1").status_code == 500


def test_clickhouse_connect_is_told_that_it_cannot_write(port: str) -> None:
    with connected(port) as client:
        with pytest.raises(DatabaseError, match="READONLY"):
            client.insert("things", [[3, "three", Decimal(3)]])
        with pytest.raises(DatabaseError, match="READONLY"):
            client.command("DROP TABLE things")
        assert client.command("SELECT count() FROM things") == 2


@pytest.mark.parametrize(
    ("query", "parameters", "status", "code"),
    [
        ("SELEC 1", {}, 400, "62"),
        ("SELECT * FROM nowhere", {}, 404, "60"),
        ("SELECT {id:UInt8}", {}, 400, "456"),
        ("SELECT 1", {"no_such_setting": "1"}, 404, "115"),
        ("SELECT 1", {"readonly": "0"}, 403, "164"),
        ("SELECT 1", {"dialect": "prql"}, 403, "164"),
        (f"SELECT repeat(toString(number), 1000) FROM numbers({MAX_RESULT // 900})", {}, 500, "396"),
        ("SELECT 1", {"database": "nowhere"}, 404, "81"),
        ("SELECT '" + "x" * MAX_QUERY + "'", {}, 413, "191"),
    ],
)
def test_errors_carry_clickhouse_s_code(
    port: str, query: str, parameters: dict[str, str], status: int, code: str
) -> None:
    answer = ask(port, query, **parameters)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, code), answer.text
    assert answer.text.startswith(f"Code: {code}. DB::")


def test_a_body_that_inflates_beyond_the_limit_is_refused(port: str) -> None:
    bomb = gzip.compress(b" " * (MAX_QUERY * 50))
    answer = httpx.post(port, content=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413


def test_clients_that_announce_a_protocol_version_get_framed_native(port: str) -> None:
    answer = ask(port, "SELECT toUInt8(id) AS i, toString(id) AS s FROM things ORDER BY id",
                 default_format="Native", client_protocol_version=str(FIRST_FRAMED))  # fmt: skip
    info = bytes([1, 0, 2, 255, 255, 255, 255, 0])
    integers = b"\x01i\x05UInt8" + b"\0" + b"\x01\x02"
    texts = b"\x01s\x06String" + b"\0" + b"\x011" + b"\x012"
    assert answer.content == info + b"\x02\x02" + integers + texts


TYPES = r"""
SELECT
    number AS n, toString(number) AS s, toLowCardinality(s) AS l, toLowCardinality(toNullable(s)) AS ln,
    map('a', toInt64(number), 'b', 2) AS m, range(number % 5) AS a, [[s, 'x'], []] AS aa, [l] AS al,
    toDecimal256(number, 18) AS d, toDecimal32(1, 2) AS d32, now64(6, 'UTC') AS t, today() AS day,
    nullIf(number, 3) AS nn, toFixedString('abc', 5) AS f, generateUUIDv4() AS u, toIPv4('1.2.3.4') AS ip,
    CAST((number, 'y', [1, 2]), 'Tuple(`a b` UInt64, c String, `d)` Array(UInt8))') AS tp,
    CAST('x,y', 'Enum8(\'x,y\' = 1, \'it\\\'s)\' = 2)') AS e,
    toInt128(1) AS i128, 1.5 AS f64, true AS yes, NULL AS nothing, INTERVAL 1 DAY AS i
FROM numbers(70000)
"""


def test_native_is_framed_whatever_its_columns_types(port: str) -> None:
    plain = ask(port, TYPES, default_format="Native").content
    framed = ask(port, TYPES, default_format="Native", client_protocol_version=str(FIRST_FRAMED))
    assert framed.status_code == 200, framed.text
    blocks = framed.content.count(bytes([1, 0, 2, 255, 255, 255, 255, 0]))
    assert len(framed.content) == len(plain) + blocks * (8 + 23)
    assert framed.content.endswith(plain[-1000:])


def test_native_of_states_is_refused_rather_than_garbled(port: str) -> None:
    query = "SELECT sumState(number) FROM numbers(3)"
    answer = ask(port, query, default_format="Native", client_protocol_version=str(FIRST_FRAMED))
    assert answer.status_code == 501
    assert "AggregateFunction" in answer.text
