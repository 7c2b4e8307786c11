"""ClickHouse over HTTP when the network or the server fails: what is known of an INSERT, and what is done."""

from __future__ import annotations

import logging
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.blocks import INSERT_TIME_LIMIT, ClickHouseBlocks
from meterhouse.adapters.clickhouse.client import ANSWER_TIMEOUT, ClickHousePool, EngineError
from meterhouse.adapters.clickhouse.migrate import migrate
from meterhouse.domain.block import Block, Table
from meterhouse.domain.errors import StoreUnavailable
from tests.clickhouse_server import ClickHouseServer
from tests.contract.test_block_store import NOON, first_seen, group, identities, metered, one_of_each
from tests.cutting_proxy import BUSY, CuttingProxy

pytestmark = pytest.mark.anyio

Answer = Callable[[], bytes]


@pytest.fixture
def proxy(clickhouse_url: str) -> Iterator[CuttingProxy]:
    with CuttingProxy(clickhouse_url) as proxy:
        yield proxy


@asynccontextmanager
async def migrated(url: str) -> AsyncIterator[ClickHousePool]:
    database = f"test_{uuid4().hex}"
    async with ClickHousePool(url, database=database, size=1) as pool:
        await migrate(pool)
        yield pool
        await pool.run(lambda client: client.command(f"DROP DATABASE {database} SYNC"))


@pytest.fixture
async def pool(proxy: CuttingProxy) -> AsyncIterator[ClickHousePool]:
    async with migrated(proxy.url) as pool:
        yield pool
        proxy.fault = None


def is_insert(request: bytes) -> bool:
    return b"INSERT INTO" in request[:10_000].replace(b"+", b" ")


def sent(proxy: CuttingProxy) -> int:
    return sum(map(is_insert, proxy.requests))


def fail_inserts(how: Callable[[Answer], bytes]) -> Callable[[bytes, Answer], bytes | None]:
    return lambda request, answer: how(answer) if is_insert(request) else None


def answer_lost(answer: Answer) -> bytes:
    answer()
    return b""


def answer_cut(answer: Answer) -> bytes:
    return answer()[:20]


def progress_then_nothing(answer: Answer) -> bytes:
    answer()
    return b'HTTP/1.1 200 OK\r\nX-ClickHouse-Progress: {"read_rows":"2"}\r\n'


def busy_after(answer: Answer) -> bytes:
    answer()
    return BUSY


def never_sent(_: Answer) -> bytes:
    return b""


def busy(_: Answer) -> bytes:
    return BUSY


ROWS = group(times=[NOON, NOON + 1], values=[None, None])


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("how", [answer_lost, answer_cut, progress_then_nothing, busy_after])
@pytest.mark.parametrize("table", [Table.EVENTS, Table.ROLLUPS])
async def test_an_insert_whose_answer_is_lost_is_an_error_and_is_sent_once(
    proxy: CuttingProxy, pool: ClickHousePool, table: Table, how: Callable[[Answer], bytes], reset: bool
) -> None:
    block = first_seen(3) if table is Table.EVENTS else metered(ROWS, table=table)
    store = ClickHouseBlocks(pool)
    before = sent(proxy)
    proxy.fault, proxy.reset = fail_inserts(how), reset
    with pytest.raises(StoreUnavailable) as caught:
        await store.insert(block, "token")
    assert "INSERT" not in str(caught.value)  # nor anything else that a URL holds
    assert sent(proxy) == before + 1
    proxy.fault = None
    # What the protocol does after an error: look, and it is there; the token keeps a second one out.
    assert await store.landed(block)
    await store.insert(block, "token")
    rows = await pool.run(lambda client: client.command(f"SELECT count() FROM {table}"))
    assert rows == (3 if table is Table.EVENTS else 8)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("how", [never_sent, busy])
async def test_an_insert_that_did_not_arrive_is_an_error_and_is_sent_once(
    proxy: CuttingProxy, pool: ClickHousePool, how: Callable[[Answer], bytes], reset: bool
) -> None:
    store, block = ClickHouseBlocks(pool), metered(ROWS, table=Table.ROLLUPS)
    before = sent(proxy)
    proxy.fault, proxy.reset = fail_inserts(how), reset
    with pytest.raises(StoreUnavailable):
        await store.insert(block, "token")
    assert sent(proxy) == before + 1
    proxy.fault = None
    assert not await store.landed(block)
    await store.insert(block, "token")
    assert await store.landed(block)


def half(answer: Answer) -> bytes:
    whole = answer()
    return whole[: len(whole) - 10_000]


@pytest.mark.parametrize("how", [never_sent, answer_cut, half, busy])
async def test_a_question_that_is_not_answered_whole_is_unavailable(
    proxy: CuttingProxy, pool: ClickHousePool, how: Callable[[Answer], bytes]
) -> None:
    proxy.fault = lambda _, answer: how(answer)
    with pytest.raises(StoreUnavailable):
        await pool.run(lambda client: client.query("SELECT number FROM numbers(100000)").result_rows)
    proxy.fault = None
    assert await pool.run(lambda client: client.command("SELECT 1")) == 1


async def test_a_cut_body_inserts_nothing(clickhouse_url: str) -> None:
    """The footer of an Arrow file is its end, so half a body is not half a block."""
    async with migrated(clickhouse_url) as pool:
        store = ClickHouseBlocks(pool)
        for block in (first_seen(50), identities(partition=0, offsets=[1], hashes=[5])):
            built = store._layout(block)

            def cut(client: Client, built: object = built, table: Table = block.table) -> None:
                body = memoryview(built.body[: len(built.body) // 2])  # type: ignore[attr-defined] # what _layout returns
                client.raw_insert(table, built.columns, body, fmt="Arrow")  # type: ignore[attr-defined, arg-type] # see above

            with pytest.raises(EngineError):
                await pool.run(cut)
            assert not await store.landed(block)


async def test_a_server_that_does_not_answer_in_time_is_unavailable(proxy: CuttingProxy) -> None:
    async with ClickHousePool(proxy.url, size=1, timeout=timedelta(seconds=1)) as pool:
        with pytest.raises(StoreUnavailable, match=r"[Tt]imed out"):
            await pool.run(lambda client: client.command("SELECT sleep(2.5)"))
        # No session of ours is locked by the statement that still runs.
        assert await pool.run(lambda client: client.command("SELECT 1")) == 1


async def test_a_server_that_went_away_is_unavailable_and_found_again(tmp_path: Path) -> None:
    server = ClickHouseServer(tmp_path)
    server.start()
    try:
        async with migrated(server.url) as pool:
            store = ClickHouseBlocks(pool)
            blocks = list(one_of_each())
            for block in blocks:
                await store.insert(block, f"token:{block.table}")
            server.kill()
            for block in blocks:
                with pytest.raises(StoreUnavailable):
                    await store.insert(block, f"token:{block.table}")
            with pytest.raises(StoreUnavailable):
                await store.landed(blocks[0])
            server.start()
            for block in blocks:
                assert await store.landed(block)
                await store.insert(block, f"token:{block.table}")  # tokens outlive it too
            assert await pool.run(lambda client: client.command("SELECT count() FROM metered_events")) == 3
            server.kill()
            server.start()
            await store.insert(first_seen(1, first=7), "an idle connection that died is noticed before")
    finally:
        server.kill()


async def test_nobody_listening_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(StoreUnavailable):
        async with ClickHousePool(f"http://127.0.0.1:{port}"):
            raise AssertionError


async def test_every_insert_has_a_time_limit_on_the_server(proxy: CuttingProxy, pool: ClickHousePool) -> None:
    store, before = ClickHouseBlocks(pool), len(proxy.requests)
    for block in one_of_each():
        await store.insert(block, "token")
    lines = [request.split(b"\r\n")[0].decode() for request in proxy.requests[before:]]
    limit = int(INSERT_TIME_LIMIT.total_seconds())
    assert len(lines) == len(Table)
    for line in lines:
        assert f"max_execution_time={limit}" in line or f"max_execution_time+%3D+{limit}" in line
        assert "insert_deduplication_token" in line
        assert "send_progress_in_http_headers=0" in line
    assert ANSWER_TIMEOUT > INSERT_TIME_LIMIT


async def test_an_insert_over_its_time_limit_inserts_nothing(clickhouse_url: str) -> None:
    async with migrated(clickhouse_url) as pool:
        slow = (
            "INSERT INTO event_ids"
            " SETTINGS max_execution_time = 1, timeout_before_checking_execution_speed = 0"
            " SELECT number, 0, number, sleepEachRow(0.05) FROM numbers(1000) SETTINGS max_block_size = 1"
        )
        with pytest.raises(EngineError) as caught:
            await pool.run(lambda client: client.command(slow))
        assert caught.value.code == 159
        assert await pool.run(lambda client: client.command("SELECT count() FROM event_ids")) == 0


SECRET = "p@ss/w:rd?#&%"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server with TLS and a password: its URL without them, and the certificate that it shows."""
    folder = tmp_path_factory.mktemp("guarded")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    paths = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *paths], check=True, capture_output=True)
    options = ("--certificate", str(certificate), "--key", str(key), "--user", "house", "--password", SECRET)
    server = ClickHouseServer(folder / "data", *options)
    server.start()
    yield server.url.replace("127.0.0.1", "localhost"), certificate
    server.stop()


async def test_tls_and_a_password_from_the_url_or_beside_it(guarded: tuple[str, Path]) -> None:
    url, certificate = guarded
    trusted = f"{url}/default?ca_cert={certificate}"
    escaped = "p%40ss%2Fw%3Ard%3F%23%26%25"
    async with migrated(trusted.replace("://", f"://house:{escaped}@")) as pool:
        block: Block = first_seen(2)
        await ClickHouseBlocks(pool).insert(block, "token")
        assert await ClickHouseBlocks(pool).landed(block)
    async with ClickHousePool(trusted, user="house", password=SECRET) as pool:
        assert await pool.run(lambda client: client.command("SELECT 1")) == 1


@pytest.mark.parametrize("wrong", ["certificate", "user", "url", "plain"])
async def test_a_password_is_never_shown(
    guarded: tuple[str, Path], wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    url, certificate = guarded
    trusted = f"{url}?ca_cert={certificate}"
    attempt = {
        "certificate": (url, "house", SECRET),
        "user": (trusted, "nobody", SECRET),
        "url": (f"https://house:{SECRET}@localhost", "", ""),
        "plain": (url.replace("https", "http"), "house", SECRET),
    }[wrong]
    caplog.set_level(logging.DEBUG)
    with pytest.raises((StoreUnavailable, ValueError)) as caught:
        async with ClickHousePool(attempt[0], user=attempt[1], password=attempt[2]) as pool:
            await pool.run(lambda client: client.command("SELECT 1"))
    shown = [caplog.text, str(caught.value), repr(caught.value.__cause__), str(caught.value.__context__)]
    assert not any(part in text for text in shown for part in (SECRET, "w:rd", "cEBzcy"))


async def test_a_pool_does_not_show_its_password() -> None:
    pool = ClickHousePool("https://house:hidden@example.com:9440/usage", password="hidden too")
    assert "hidden" not in repr(pool) + repr(pool._address)
    assert (pool._address.port, pool._address.database, pool._address.user) == (9440, "usage", "house")


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "http://h:port/", "https://h/?verify=false"])
async def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="the ClickHouse URL"):
        ClickHousePool(url)
