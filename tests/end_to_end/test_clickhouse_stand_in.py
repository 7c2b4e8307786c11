"""The ClickHouse stand-in of deploy/local, as clients of ClickHouse see it."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import count
from pathlib import Path
from uuid import uuid4

import clickhouse_connect
import httpx
import lz4.frame
import pyarrow as pa
import pytest
import zstandard
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from deploy.local.clickhouse.body import decompressed, form_parts
from deploy.local.clickhouse.statement import insert_with_data
from meterhouse.adapters.clickhouse.arrow import arrow_file
from meterhouse.adapters.clickhouse.engine import Refused
from tests.clickhouse_server import ROOT, ClickHouseServer

ODD = 'o\'dd \\ "näme"\t\n{x:String} FORMAT Native\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    stand_in = ClickHouseServer(tmp_path_factory.mktemp("stand-in"))
    stand_in.start()
    yield stand_in.url
    assert stand_in.stop() == 0


@pytest.fixture
def table(server: str) -> str:
    name = f"things_{uuid4().hex}"
    ask(server, f"CREATE TABLE {name} (id UInt64, name LowCardinality(String), cost Decimal(76, 18))"
        " ORDER BY id SETTINGS non_replicated_deduplication_window = 100")  # fmt: skip
    return name


def connected(url: str, **options: object) -> Client:
    address = httpx.URL(url)
    return clickhouse_connect.get_client(host=address.host, port=address.port, **options)  # type: ignore[arg-type] # a test's shorthand


def ask(url: str, query: str, content: bytes = b"", **parameters: str) -> httpx.Response:
    answer = httpx.post(url, params={"query": query, **parameters}, content=content)
    assert answer.status_code == 200, answer.text
    return answer


def rows_of(url: str, table: str) -> str:
    return ask(url, f"SELECT id, name FROM {table} ORDER BY id").text


@pytest.mark.parametrize("compress", [False, True, "lz4", "zstd", "gzip"])
def test_clickhouse_connect_writes_and_reads_rows_exactly(
    server: str, table: str, compress: bool | str
) -> None:
    # More than one block of the driver's, so that a compressed body has several frames.
    rows = [[number, ODD * 3 + str(number % 100), Decimal(number) / 8] for number in range(30_000)]
    with connected(server, compress=compress) as client:
        client.insert(table, rows, ["id", "name", "cost"])
        found = client.query(f"SELECT id, name, cost FROM {table} ORDER BY id").result_rows
        assert [list(row) for row in found] == rows
        assert client.query(f"SELECT id FROM {table} LIMIT 0").column_names == ("id",)
        assert client.query_arrow(f"SELECT id FROM {table} WHERE id = 7").to_pydict() == {"id": [7]}
        assert client.command(f"TRUNCATE TABLE {table}").as_query_result() is not None  # type: ignore[union-attr] # nothing to show
        assert client.command(f"SELECT id FROM {table}") == ""


def test_an_arrow_table_is_inserted(server: str, table: str) -> None:
    arrow = pa.table({"id": pa.array([1, 2], pa.uint64()), "name": ["a", ODD], "cost": ["1", "2"]})
    with connected(server) as client:
        client.insert_arrow(table, arrow)
        assert client.query(f"SELECT name FROM {table} ORDER BY id").result_columns == [["a", ODD]]


def test_bound_parameters_arrive_as_they_were_given(server: str) -> None:
    many = [f"{ODD}{number}" for number in range(2000)]  # more than fits in a URL
    with connected(server) as client:
        parameters = {"name": ODD, "several": [ODD, "x"], "many": many}
        found = client.query(
            "SELECT {name:String}, {several:Array(String)}, {many:Array(String)}", parameters
        )
        assert found.result_rows == [(ODD, [ODD, "x"], many)]


def test_external_data_are_a_table_of_one_query(server: str) -> None:
    dice = random.Random(1)
    numbers = [dice.getrandbits(128) for _ in range(100_000)]
    body = b"".join(number.to_bytes(16, "little") for number in numbers)
    data = ExternalData(file_name="wanted", data=body, fmt="RowBinary", structure="n UInt128")
    with connected(server) as client:
        found = client.query("SELECT n FROM wanted", external_data=data, settings={"max_threads": 1})
        assert found.result_columns == [numbers]
        with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
            client.query("SELECT n FROM wanted")


def arrow_body(size: int) -> bytes:
    return arrow_file(pa.table({"id": pa.array(range(size), pa.uint64()), "name": [ODD] * size}))


def test_input_reads_the_body_wherever_the_statement_says(server: str, table: str) -> None:
    statement = (
        f"INSERT INTO {table} (id, name) SETTINGS max_insert_threads = 1 "
        "SELECT any(id) + {more:UInt8}, concat(name, '; input(') FROM input('id UInt64, name String')"
        " GROUP BY name FORMAT Arrow"
    )
    ask(server, statement, arrow_body(1), param_more="3")
    body = statement.encode() + b"\n" + arrow_body(1)
    assert httpx.post(server, params={"param_more": "4"}, content=body).status_code == 200
    with connected(server) as client:
        found = client.query(f"SELECT id, name FROM {table} ORDER BY id").result_rows
    assert found == [(3, f"{ODD}; input("), (4, f"{ODD}; input(")]


@pytest.mark.parametrize("source", ["", " SELECT id, name FROM input('id UInt64, name String')"])
def test_a_token_lets_a_block_in_once(server: str, table: str, source: str) -> None:
    for token in ("a", "a", "b"):
        ask(server, f"INSERT INTO {table} (id, name){source} FORMAT Arrow", arrow_body(2),
            insert_deduplication_token=token)  # fmt: skip
    assert ask(server, f"SELECT id, count() FROM {table} GROUP BY id ORDER BY id").text == "0\t2\n1\t2\n"


@pytest.mark.parametrize(
    ("statement", "data"),
    [
        ("INSERT INTO {t} (id, name) VALUES (1, 'FORMAT x'), (2, 'y')", ""),
        ("INSERT INTO {t} (id, name) SELECT number + 1, ['FORMAT x', 'y'][number + 1] FROM numbers(2)", ""),
        ("INSERT INTO {t} (id, name) SETTINGS max_threads = 1 FORMAT TSV", "1\tFORMAT x\n2\ty\n"),
        ("/* FORMAT c */ insert into {t} -- FORMAT z\n (id, name) format TSV", "1\tFORMAT x\n2\ty\n"),
        ('INSERT INTO {t} FORMAT JSONEachRow {{"id":1,"name":"FORMAT x"}}', '{{"id":2,"name":"y"}}'),
    ],
)
@pytest.mark.parametrize("where", ["url", "body"])
def test_inserts_are_told_from_their_data(
    server: str, table: str, statement: str, data: str, where: str
) -> None:
    sql, rows = statement.format(t=table), data.format()
    if where == "url":
        ask(server, sql, rows.encode())
    else:
        assert httpx.post(server, content=f"{sql}\n{rows}".encode()).status_code == 200
    assert rows_of(server, table) == "1\tFORMAT x\n2\ty\n"


def test_an_insert_of_no_rows_changes_nothing(server: str, table: str) -> None:
    ask(server, f"INSERT INTO {table} (id, name) FORMAT TSV")
    assert rows_of(server, table) == ""


@pytest.mark.parametrize(
    ("query", "parameters", "status", "code"),
    [
        ("SELEC 1", {}, 400, "62"),
        ("SELECT * FROM nowhere", {}, 404, "60"),
        ("INSERT INTO nowhere FORMAT TSV", {}, 404, "60"),
        ("SELECT 1", {"no_such_setting": "1"}, 404, "115"),
        ("SELECT 1", {"a;b": "1"}, 404, "115"),
        ("SELECT 1", {"database": "nowhere"}, 404, "81"),
        ("SELECT throwIf(1)", {}, 500, "395"),
    ],
)
def test_errors_are_the_engine_s_own(
    server: str, query: str, parameters: dict[str, str], status: int, code: str
) -> None:
    answer = httpx.post(server, params={"query": query, **parameters})
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, code), answer.text
    assert answer.text.startswith(f"Code: {code}. DB::")


def test_a_statement_ends_at_its_time_limit(server: str) -> None:
    began = time.monotonic()
    query = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))"
    answer = httpx.post(server, params={"query": query, "max_execution_time": "0.5"}, timeout=20)
    assert answer.headers["X-ClickHouse-Exception-Code"] == "159"
    assert time.monotonic() - began < 5


def test_settings_and_databases_of_one_request_do_not_stay_for_the_next(server: str) -> None:
    assert ask(server, "SELECT getSetting('max_threads'), currentDatabase()", max_threads="3",
               database="system").text == "3\tsystem\n"  # fmt: skip
    assert ask(server, "SELECT getSetting('max_threads') = 3, currentDatabase()").text == "0\tdefault\n"


def test_slow_statements_do_not_hold_up_others(server: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        slow = [threads.submit(ask, server, "SELECT sleep(2)") for _ in range(4)]
        assert ask(server, "SELECT 1").text == "1\n"
        assert not any(one.done() for one in slow)


def test_a_session_runs_one_statement_at_a_time(server: str) -> None:
    def slow(_: int) -> str | None:
        answer = httpx.post(server, params={"query": "SELECT sleep(2.5)", "session_id": "one"}, timeout=30)
        code: str | None = answer.headers.get("X-ClickHouse-Exception-Code")
        return code

    with ThreadPoolExecutor(2) as threads:
        assert set(threads.map(slow, range(2))) == {None, "373"}
    assert ask(server, "SELECT 1", session_id="one").text == "1\n"


def test_writers_at_once_do_not_mix(server: str, table: str) -> None:
    def write(number: int) -> None:
        body = arrow_file(pa.table({"id": pa.array([number], pa.uint64()), "name": [str(number)]}))
        ask(server, f"INSERT INTO {table} (id, name) FORMAT Arrow", body)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(80)))
    assert rows_of(server, table) == "".join(f"{number}\t{number}\n" for number in range(80))


def test_what_was_answered_outlives_a_kill(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server = ClickHouseServer(tmp_path)
    request.addfinalizer(server.kill)
    server.start()
    ask(
        server.url,
        "CREATE TABLE kept (n UInt64) ORDER BY n SETTINGS fsync_after_insert = 1, fsync_part_directory = 1,"
        " non_replicated_deduplication_window = 10",
    )
    answered: list[int] = []
    numbers = count()

    def write() -> None:
        for number in numbers:
            try:
                ask(server.url, "INSERT INTO kept FORMAT TSV", f"{number}\n".encode(),
                    insert_deduplication_token=str(number))  # fmt: skip
            except httpx.HTTPError:
                return
            answered.append(number)

    for enough in (20, 40):
        writer = threading.Thread(target=write)
        writer.start()
        while len(answered) < enough:
            time.sleep(0.01)
        server.kill()
        writer.join(30)
        server.start()
        kept = {int(line) for line in ask(server.url, "SELECT n FROM kept").text.split()}
        assert kept >= set(answered)
        assert ask(server.url, "SELECT count() - uniqExact(n) FROM kept").text == "0\n"


def test_a_folder_is_served_once(tmp_path: Path) -> None:
    server = ClickHouseServer(tmp_path)
    server.start()
    command = [sys.executable, "-m", "deploy.local.clickhouse", "--data", str(tmp_path)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "is in use by another" in second.stderr
    assert server.stop() == 0


def test_frames_and_cuts_of_every_encoding() -> None:
    first, second = b"first" * 1000, b"second" * 1000
    compressors = {"lz4": lz4.frame.compress, "zstd": zstandard.compress, "gzip": gzip.compress}
    for encoding, compress in compressors.items():
        body = compress(first) + compress(second)
        assert decompressed(body, encoding) == first + second
        with pytest.raises(Refused):
            decompressed(b"no such thing", encoding)
    for encoding in ("lz4", "gzip"):
        with pytest.raises(Refused):
            decompressed(compressors[encoding](first)[:-5], encoding)


def test_parts_of_a_form_keep_every_byte() -> None:
    data = bytes(range(256)) * 10 + b"\r\n--other\r\n\r\n"
    request = httpx.Request("POST", "http://x", data={"query": ODD}, files={"file": ("f", data)})
    parts = form_parts(request.read(), request.headers["content-type"])
    assert {part.name: (part.is_file, part.data) for part in parts} == {
        "query": (False, ODD.encode()),
        "file": (True, data),
    }


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FORMAT Native\n",
        "INSERT INTO t SELECT * FROM s",
        "INSERT INTO t VALUES ('FORMAT a\n')",
        "",
        "-- x",
    ],
)
def test_statements_without_data_stay_whole(text: str) -> None:
    assert insert_with_data(text.encode()) is None
