"""Where ClickHouse is, and how to be connected to it: the one place that tells embedded from remote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from meterhouse.domain.errors import StoreUnavailable

_EMBEDDED: Final = "chdb"
_PORTS: Final = {"http": 8123, "https": 8443}
_OPTIONS: Final = frozenset({"ca_cert"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A ClickHouse: a folder that this process opens itself, or a server.

    `folder` is set for the embedded engine, the rest for a server. The password is in no repr.
    """

    scheme: str
    folder: str | None = None
    host: str = ""
    port: int = 0
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = "default"
    ca_cert: str | None = None

    @classmethod
    def parse(cls, url: str) -> Address:
        """`chdb:///folder`, `http://user:password@host:8123/database` or `https://…?ca_cert=/path.pem`.

        User, password, port and database may be left out, and %-escapes are undone. Raises ValueError, whose
        text never quotes the URL, because a password may be anywhere in a malformed one.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("the ClickHouse URL is malformed; escape / ? # @ in a password") from None
        if parts.scheme == _EMBEDDED:
            return cls(scheme=_EMBEDDED, folder=f"/{parts.path.lstrip('/')}")
        if parts.scheme not in _PORTS:
            raise ValueError("the ClickHouse URL begins with none of http://, https://, chdb:///")
        if not parts.hostname:
            raise ValueError("the ClickHouse URL names no host")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            user=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.strip("/")) or "default",
            ca_cert=_options(parts).get("ca_cert"),
        )

    def login(self, user: str, password: str) -> Address:
        """The same place with that user and password, where they are not empty."""
        return replace(self, user=user or self.user, password=password or self.password)

    def connect(self, timeout: timedelta) -> Client:
        """A client of its own connection, with no session on the server. Blocks for two small queries.

        `timeout` bounds both connecting and the wait for (more of) an answer. Raises ClickHouseError, and
        StoreUnavailable where the embedded engine is not installed.
        """
        if self.folder is not None:
            return self._open()
        seconds = max(1, round(timeout.total_seconds()))
        return clickhouse_connect.get_client(
            interface=self.scheme,  # left to itself the driver chooses by the port, even to send in clear
            host=self.host,
            port=self.port,
            username=self.user,
            password=self.password,
            ca_cert=self.ca_cert,
            compress=False,
            connect_timeout=min(seconds, _CONNECT_SECONDS),
            send_receive_timeout=seconds,
            # A session is locked while a statement runs in it: after a cut answer the next would be refused.
            autogenerate_session_id=False,
            dedicated_pool=True,
            settings=dict(_SETTINGS),
        )

    def _open(self) -> Client:
        try:
            return clickhouse_connect.get_client(dsn=f"{_EMBEDDED}://{self.folder}")
        except ImportError as error:
            raise StoreUnavailable("this needs the extra: pip install 'meterhouse[embedded]'") from error


_CONNECT_SECONDS: Final = 10

# A log partition lies on one shard with all that belongs to it, so IN and JOIN never look at another one.
_SETTINGS: Final[Mapping[str, str]] = {"distributed_product_mode": "local"}


def _options(parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query))
    if options.keys() - _OPTIONS:
        raise ValueError(f"the ClickHouse URL has an option that is none of: {', '.join(_OPTIONS)}")
    return options
