"""PostgreSQL as the catalog's database, over psycopg 3. Imported only where a URL asks for it.

Every wait is bounded twice: by the server, which ends a statement or an idle transaction (of a process
that was stopped in the middle) after the statement timeout, and here, for a server that says nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import URL, create_engine, event

from meterhouse.adapters.catalog.engines import DatabaseLimits, Engines

T = TypeVar("T")

_GRACE: Final = timedelta(seconds=1)  # for the server's own word on a statement that took too long
_POLL_SECONDS: Final = 0.1  # between looks at the deadline while nothing comes

# A progress that is forgotten after it was acknowledged counts events twice.
_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server does not answer within `patience` seconds."""

    patience: float | None = None

    def wait(self, gen: PQGen[T], interval: float = _POLL_SECONDS, timeout: float | None = None) -> T:
        """What `gen` comes to. Raises psycopg.OperationalError when it takes too long."""
        if timeout is not None or self.patience is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.patience)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - psycopg has no public name for it
            self.close()
            raise psycopg.OperationalError(f"no answer within {self.patience:g} s") from None


def open_engines(address: URL, limits: DatabaseLimits) -> Engines:
    """Engines on the server; nothing connects before the first use."""
    engine = create_engine(
        address,
        pool_size=limits.connections,
        max_overflow=0,
        pool_timeout=limits.statement_timeout.total_seconds(),
        pool_pre_ping=True,
        connect_args=_parameters(address, limits),
        isolation_level="READ COMMITTED",
    )
    patience = (limits.statement_timeout + _GRACE).total_seconds()

    @event.listens_for(engine, "do_connect")
    def connect(
        _dialect: object, _record: object, arguments: tuple[Any, ...], parameters: dict[str, Any]
    ) -> BoundedConnection:
        connection = BoundedConnection.connect(*arguments, **parameters)
        connection.patience = patience
        connection.execute(_DURABLE)
        connection.commit()
        return connection

    reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return Engines(reading=reading, writing=engine)


def _parameters(address: URL, limits: DatabaseLimits) -> Mapping[str, str]:
    """What libpq is told; what the URL's own query says is stronger."""
    milliseconds = limits.statement_timeout // timedelta(milliseconds=1)
    bounds = [
        f"-c {name}={milliseconds}" for name in ("statement_timeout", "idle_in_transaction_session_timeout")
    ]
    asked = {name: value for name, value in address.query.items() if isinstance(value, str)}
    parameters = {
        "application_name": "meterhouse",
        "connect_timeout": str(max(2, round(limits.connect_timeout.total_seconds()))),
    }
    return {**parameters, **asked, "options": " ".join([*bounds, asked.get("options", "")]).strip()}
