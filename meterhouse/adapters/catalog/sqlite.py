"""SQLite as the catalog's database: a write has it alone from its beginning, a read sees one snapshot."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event

from meterhouse.adapters.catalog.engines import DatabaseLimits, Engines

_BUSY_TIMEOUT_MS: Final = 4_000  # the official clients give up after five seconds
_WRITES: Final = "meterhouse_writes"


def open_engines(address: URL, limits: DatabaseLimits) -> Engines:
    """Engines on the file. It is made when missing, on the first use."""
    engine: Engine = create_engine(address, pool_size=limits.connections, max_overflow=0, pool_timeout=4)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return Engines(reading=engine, writing=engine.execution_options(**{_WRITES: True}))


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    # Without this the driver begins transactions by itself, later than we want and never IMMEDIATE.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
