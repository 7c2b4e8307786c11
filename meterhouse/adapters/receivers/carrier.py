"""One POST to a receiver: no redirects, no proxies, no cookies, and within one deadline."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import anyio
import httpcore

from meterhouse.adapters.receivers.network import CheckedNetwork, RefusedAddress
from meterhouse.adapters.receivers.urls import UrlRules
from meterhouse.domain.instant import SECOND, Instant, from_datetime
from meterhouse.domain.webhook import Answer, Answered, Unanswered
from meterhouse.ports.clock import Clock

_MOST_READ: Final = 64 * 1024  # of an answer, before its connection is given up
_MOST_SECONDS: Final = 10**9
_OF_CONNECTING: Final = 0.4  # of the whole time, for TCP and for TLS each
_REFUSED: Final = "the host does not resolve to public addresses alone"


class HttpCarrier:
    """Implements Carrier over HTTP/1.1. `timeout` is for a whole attempt, names and TLS included."""

    def __init__(
        self, connections: httpcore.AsyncConnectionPool, clock: Clock, rules: UrlRules, *, timeout: timedelta
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._schemes = rules.schemes
        self._seconds = timeout.total_seconds()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        clock: Clock,
        rules: UrlRules,
        *,
        timeout: timedelta,
        trust: ssl.SSLContext | None = None,
    ) -> AsyncIterator[HttpCarrier]:
        """Connections that are closed in the end; `trust` has other certificate authorities than usual."""
        async with httpcore.AsyncConnectionPool(
            ssl_context=trust,
            max_connections=None,
            max_keepalive_connections=100,
            keepalive_expiry=15.0,
            network_backend=CheckedNetwork(rules.allow_private),
        ) as connections:
            yield cls(connections, clock, rules, timeout=timeout)

    async def carry(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if url.partition(":")[0].lower() not in self._schemes:
            return Unanswered("only https is allowed")
        try:
            with anyio.fail_after(self._seconds):
                return await self._post(url, headers, body)
        except RefusedAddress:
            return Unanswered(_REFUSED)
        except TimeoutError:
            return Unanswered(f"no answer within {self._seconds:g} s")
        except (
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.ProtocolError,
            ssl.SSLError,
        ) as error:
            return Unanswered(_reason(error))
        except (httpcore.UnsupportedProtocol, ValueError):
            return Unanswered("the URL is not one that can be asked")

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
        # A handshake that the deadline itself cuts off would leave its socket open: it ends sooner.
        times = {"connect": self._seconds * _OF_CONNECTING}
        request = self._connections.stream(
            "POST", url, headers=list(headers.items()), content=body, extensions={"timeout": times}
        )
        async with request as response:
            read = 0
            async for chunk in response.aiter_stream():
                read += len(chunk)
                if read > _MOST_READ:
                    break
            return Answered(response.status, self._not_before(response.headers))

    def _not_before(self, headers: Sequence[tuple[bytes, bytes]]) -> Instant | None:
        """What `Retry-After` asks for (RFC 9110, 10.2.3), in seconds or as a date; None of anything else."""
        asked = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
        text = asked.decode("latin-1").strip()
        if text.isascii() and text.isdecimal() and len(text) < 20:
            return self._clock.now() + min(int(text), _MOST_SECONDS) * SECOND
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        return from_datetime(moment)


def _reason(error: Exception) -> str:
    """A sentence for the merchant; addresses and what else the driver said stay with us."""
    match error:
        case httpcore.TimeoutException():
            return "no answer in time"
        case httpcore.ConnectError() if isinstance(error.__cause__, ssl.SSLError):
            return "the certificate or TLS of the host is not accepted"
        case httpcore.ConnectError():
            return str(error) if str(error).startswith("the name") else "the host does not accept connections"
        case ssl.SSLError():
            return "the certificate or TLS of the host is not accepted"
        case httpcore.ProtocolError():
            return "the answer is not HTTP/1.1"
    return "the connection broke"
