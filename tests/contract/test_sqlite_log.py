"""What the SQLite log promises beyond the ports: kills, full disks, failed commits, crowds."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from meterhouse.adapters.sqlite_log import batch, reader
from meterhouse.adapters.sqlite_log.log import SqliteLog
from meterhouse.adapters.sqlite_log.writer import DeadLetter
from meterhouse.domain.errors import LogBroken, LogUnavailable, Overloaded
from meterhouse.domain.position import Position
from meterhouse.ports.log import Bounds, Entry, LogRecord

pytestmark = pytest.mark.anyio

PATIENCE = 10.0  # seconds; only a failing test waits that long


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


@pytest.fixture
async def log(path: Path) -> AsyncIterator[SqliteLog]:
    async with SqliteLog.open(path) as opened:
        yield opened


def entry(text: str) -> Entry:
    return Entry(b"key", text.encode(), 7)


async def texts(log: SqliteLog) -> list[str]:
    return [record.value.decode() for record in await log.read(0, 0, 1_000_000)]


# Appends singles and pairs from eight tasks and prints each position once it is acknowledged.
APPENDING = """
import asyncio, sys
from pathlib import Path
from meterhouse.adapters.sqlite_log.log import SqliteLog
from meterhouse.ports.log import Entry

async def append(log, task):
    number = 0
    while True:
        texts = [f"{sys.argv[2]} {task} {number} {part}" for part in range(1 + task % 2)]
        (position,) = await log.append([Entry(b"key", text.encode(), 7) for text in texts])
        print(position.offset, ",".join(texts), sep="|", flush=True)
        number += 1

async def main():
    async with SqliteLog.open(Path(sys.argv[1])) as log, asyncio.TaskGroup() as tasks:
        for task in range(8):
            tasks.create_task(append(log, task))

asyncio.run(main())
"""


def acknowledged_until_killed(path: Path, run: str, count: int) -> dict[int, str]:
    """Every text that a process acknowledged before it was killed, by its offset."""
    command = [sys.executable, "-c", APPENDING, str(path), run]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(count)]
        process.kill()
        lines += process.stdout.readlines()
    found: dict[int, str] = {}
    for line in lines:
        if line.endswith("\n"):  # the kill may cut the last line
            end, joined = line.rstrip("\n").split("|")
            parts = joined.split(",")
            found.update(enumerate(parts, int(end) - len(parts)))
    assert len(found) >= count
    return found


async def test_every_acknowledged_event_survives_kill_9(path: Path) -> None:
    acknowledged: dict[int, str] = {}
    for run in range(3):
        acknowledged |= await anyio.to_thread.run_sync(acknowledged_until_killed, path, str(run), 300)
    async with SqliteLog.open(path) as log:
        records = await log.read(0, 0, 1_000_000)
    assert [record.offset for record in records] == list(range(len(records)))
    held = {record.offset: record.value.decode() for record in records}
    assert acknowledged.items() <= held.items()
    pairs = [text for text in held.values() if int(text.split()[1]) % 2]
    first_parts = {text[:-2] for text in pairs if text.endswith(" 0")}
    assert first_parts == {text[:-2] for text in pairs if text.endswith(" 1")}


async def test_a_full_disk_takes_nothing_of_an_append_and_the_log_goes_on_after_it(log: SqliteLog) -> None:
    await log.append([entry("before")])
    connection = log._writer._connection
    connection.execute("PRAGMA max_page_count = 1")  # SQLite raises it to the present size
    with pytest.raises(LogUnavailable, match="full"):
        await log.append([entry("small"), *[entry("x" * 10_000) for _ in range(10)]])
    assert await texts(log) == ["before"]
    assert await log.bounds(0) == Bounds(0, 1)
    connection.execute("PRAGMA max_page_count = 1000000")
    assert await log.append([entry("after")]) == (Position(0, 2),)
    assert await texts(log) == ["before", "after"]


class LosesAcknowledgements(sqlite3.Connection):
    """Fails every COMMIT: `before` it reached the disk, or after it did."""

    before = False

    def execute(self, sql: str, parameters: object = ()) -> sqlite3.Cursor:
        if sql != "COMMIT":
            return super().execute(sql, parameters)  # type: ignore[arg-type] # typeshed keeps its name to itself
        if not self.before:
            super().execute(sql)
        raise sqlite3.OperationalError("disk I/O error")


@pytest.mark.parametrize("before", [True, False])
async def test_after_a_failed_commit_the_database_says_where_the_log_ends(path: Path, before: bool) -> None:
    async with SqliteLog.open(path) as log:
        await log.append([entry("first")])
        sound = log._writer._connection
        failing = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=LosesAcknowledgements
        )
        failing.before = before
        log._writer._connection = failing
        with pytest.raises(LogUnavailable, match="disk I/O error"):
            await log.append([entry("unknown")])
        assert await log.wait(0, 1, 0.0) is not before
        log._writer._connection = sound
        failing.close()
        await log.append([entry("last")])
        assert await texts(log) == (["first", "last"] if before else ["first", "unknown", "last"])


async def test_a_crowd_beyond_the_bound_is_turned_away_and_the_rest_is_written(path: Path) -> None:
    results: list[tuple[Position, ...]] = []

    async def append(log: SqliteLog) -> None:
        results.append(await log.append([entry("waits " * 200)]))

    async with SqliteLog.open(path, waiting_bytes=4000) as log:
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(append, log)
            tasks.start_soon(append, log)
            await anyio.lowlevel.checkpoint()
            with pytest.raises(Overloaded):
                await log.append([entry("turned away " * 200)])
            blocker.execute("ROLLBACK")
        blocker.close()
        await log.append([entry("later")])
        assert await texts(log) == ["waits " * 200, "waits " * 200, "later"]
    assert sorted(results) == [(Position(0, 1),), (Position(0, 2),)]


async def test_one_append_larger_than_the_bound_is_written_when_nothing_else_waits(path: Path) -> None:
    async with SqliteLog.open(path, waiting_bytes=10, commit_bytes=10) as log:
        assert await log.append([entry("x" * 1000)] * 3) == (Position(0, 3),)


async def test_closing_finishes_what_was_accepted(path: Path) -> None:
    results: list[tuple[Position, ...]] = []

    async def append(log: SqliteLog, number: int) -> None:
        results.append(await log.append([entry(str(number))]))

    async with anyio.create_task_group() as tasks, SqliteLog.open(path, commit_bytes=1) as log:
        for number in range(50):
            tasks.start_soon(append, log, number)
        await anyio.lowlevel.checkpoint()
    assert sorted(results) == [(Position(0, end),) for end in range(1, 51)]
    with pytest.raises(LogUnavailable, match="closing"):
        await log.append([entry("too late")])
    async with SqliteLog.open(path) as log:
        assert sorted(await texts(log), key=int) == [str(number) for number in range(50)]


async def test_a_cancelled_caller_does_not_keep_others_from_their_answer(log: SqliteLog) -> None:
    async def append_and_leave() -> None:
        await log.append([entry("left")])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append_and_leave)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert await log.append([entry("stayed")]) == (Position(0, 2),)
    assert await texts(log) == ["left", "stayed"]


async def test_event_loops_of_several_threads_share_one_log(log: SqliteLog) -> None:
    def append_elsewhere() -> tuple[Position, ...]:
        return asyncio.run(log.append([entry("elsewhere")]))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(log.wait, 0, 0, PATIENCE)
            assert await anyio.to_thread.run_sync(append_elsewhere) == (Position(0, 1),)


async def test_a_log_keeps_its_id_and_another_log_has_another(tmp_path: Path) -> None:
    async with SqliteLog.open(tmp_path / "one") as log:
        first = log.log_id
    async with SqliteLog.open(tmp_path / "one") as again, SqliteLog.open(tmp_path / "two") as other:
        assert again.log_id == first
        assert other.log_id != first


async def test_a_read_stops_when_it_holds_enough_bytes(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await log.append([entry("x" * 60)])
    monkeypatch.setattr(reader, "READ_BYTES", 100)
    assert [record.offset for record in await log.read(0, 1, 5)] == [1, 2]
    monkeypatch.setattr(reader, "READ_BYTES", 1)
    assert [record.offset for record in await log.read(0, 4, 5)] == [4]


async def test_a_large_append_is_one_commit_of_several_rows(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_BYTES", 10)
    written = ["12345", "12345", "1", "", "longer than a row", "", "", "1234567890", "12345", "123456"]
    assert await log.append([entry(text) for text in written]) == (Position(0, 10),)
    assert await texts(log) == written
    rows = log._writer._connection.execute("SELECT last, CAST(content AS TEXT) FROM batches ORDER BY last")
    assert rows.fetchall() == [
        (1, "1234512345"),
        (3, "1"),
        (4, "longer than a row"),
        (7, "1234567890"),
        (8, "12345"),
        (9, "123456"),
    ]
    for start in range(11):
        assert [record.value.decode() for record in await log.read(0, start, 3)] == written[start : start + 3]


async def test_a_missing_record_is_never_skipped_over(log: SqliteLog) -> None:
    for number in range(5):
        await log.append([entry(str(number))])
    log._writer._connection.execute("DELETE FROM batches WHERE last = 2")
    with pytest.raises(LogBroken, match="lacks records between the offsets 2 and 3"):
        await log.read(0, 0, 10)
    with pytest.raises(LogBroken, match="lacks records between the offsets 2 and 3"):
        await log.read(0, 2, 10)


async def test_dead_letters_are_listed_with_the_reason_first_given(log: SqliteLog) -> None:
    old, new = LogRecord(3, 5, b"\xff"), LogRecord(9, 6, b"")
    await log.put(0, old, "is not JSON")
    await log.put(0, new, "is empty")
    await log.put(0, old, "another reason")
    assert await log.dead_letters() == [DeadLetter(0, new, "is empty"), DeadLetter(0, old, "is not JSON")]
    assert await log.dead_letters(1) == [DeadLetter(0, new, "is empty")]


async def test_a_file_of_another_format_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LogBroken, match="format 99"):
        async with SqliteLog.open(path):
            pytest.fail("it was opened")


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    await anyio.Path(path).write_bytes(b"something else entirely " * 100)
    with pytest.raises(LogUnavailable, match="could not be opened"):
        async with SqliteLog.open(path):
            pytest.fail("it was opened")


async def test_another_partition_is_a_mistake_of_the_caller(log: SqliteLog) -> None:
    with pytest.raises(ValueError, match="partition 0 only"):
        await log.read(1, 0, 1)
