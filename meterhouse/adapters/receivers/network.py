"""Connections to receivers: by addresses that were checked, just before connecting to them.

A name is looked up once for a connection, every address of it is checked, and one of these addresses is what
is connected to: a name that means something else a moment later (DNS rebinding) is asked no more. TLS and
`Host` go by the name all the same.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import anyio
import httpcore

from meterhouse.adapters.receivers.addresses import is_public

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, each once, as the system orders them. Raises OSError, UnicodeError."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class RefusedAddress(Exception):
    """Where the name leads is no business of a stranger's."""


@dataclass(slots=True)
class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to public addresses alone, unless private ones are allowed too."""

    allow_private: bool = False
    resolve: Resolve = system_resolver
    inner: httpcore.AsyncNetworkBackend = field(default_factory=httpcore.AnyIOBackend)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises RefusedAddress, httpcore.ConnectError, httpcore.ConnectTimeout."""
        failure: httpcore.ConnectError | None = None
        for address in await self._addresses(host, port):
            try:
                return await self.inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError("the name has no address")

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name cannot be resolved") from error
        if not self.allow_private and not all(map(is_public, addresses)):
            raise RefusedAddress
        return addresses
