"""The log's file: its tables, its settings, its identity."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path
from typing import Final

from meterhouse.domain.errors import LogBroken, LogUnavailable

FORMAT: Final = 2
APPLICATION: Final = 0x4D484C47  # "MHLG"; `file` and sqlite3 show it

# Pages of write-ahead log between checkpoints, 32 MiB: a checkpoint copies and syncs them while callers wait.
_CHECKPOINT_PAGES: Final = 8192

_TABLES: Final = """
CREATE TABLE batches (
    last INTEGER PRIMARY KEY, received_ats BLOB NOT NULL, ends BLOB NOT NULL, content BLOB NOT NULL
);
CREATE TABLE dead_letters (
    partition INTEGER NOT NULL, offset INTEGER NOT NULL,
    received_at INTEGER NOT NULL, value BLOB NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (partition, offset)
);
CREATE TABLE identity (log_id TEXT NOT NULL);
"""


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode whose commits are on the disk when they return."""
    # Each connection belongs to one thread, but is opened and closed by others.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        connection.close()
        raise LogUnavailable(f"the file system of {path} does not support write-ahead logging")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    return connection


def prepare(connection: sqlite3.Connection) -> str:
    """Create the tables in a new file, and return the log's own random id."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found == 0:
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT INTO identity VALUES (?)", (secrets.token_hex(8),))
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
        elif found != FORMAT:
            raise LogBroken(f"the event log has format {found}, this version reads format {FORMAT}")
        (log_id,) = connection.execute("SELECT log_id FROM identity").fetchone()
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    assert isinstance(log_id, str)
    return log_id


def first_offset(connection: sqlite3.Connection) -> int | None:
    """The offset of the oldest record; None in an empty log."""
    query = "SELECT last, length(received_ats) / 8 FROM batches ORDER BY last LIMIT 1"
    found = connection.execute(query).fetchone()
    if found is None:
        return None
    last, count = found
    assert isinstance(last, int)
    assert isinstance(count, int)
    return last + 1 - count


def end_offset(connection: sqlite3.Connection) -> int:
    """The offset that the next record gets; 0 in an empty log."""
    (last,) = connection.execute("SELECT max(last) FROM batches").fetchone()
    assert last is None or isinstance(last, int)
    return 0 if last is None else last + 1
