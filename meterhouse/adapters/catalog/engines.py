"""What a kind of database gives the catalog: one engine for reads, one for writes, within limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Engine


class Engines(NamedTuple):
    """Both over one pool of connections.

    A transaction of `reading` sees one snapshot of the database. In one of `writing` each statement sees
    what was committed before it began, and rows read with a lock stay as they are until the end.
    """

    reading: Engine
    writing: Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseLimits:
    """`connections` at most, with a thread each. How long a server may take to accept one (seconds, at
    least 2), and to answer one statement, waiting for locks included.
    """

    connections: int = 4
    connect_timeout: timedelta = timedelta(seconds=2)
    statement_timeout: timedelta = timedelta(seconds=3)
