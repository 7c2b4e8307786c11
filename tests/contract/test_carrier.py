"""One POST to a receiver, over real sockets as far as they matter: what comes of every kind of answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import httpcore
import pytest

from meterhouse.adapters.receivers.carrier import HttpCarrier
from meterhouse.adapters.receivers.network import CheckedNetwork, RefusedAddress, SocketOption
from meterhouse.adapters.receivers.urls import UrlRules
from meterhouse.domain.instant import HOUR, SECOND, parse
from meterhouse.domain.webhook import Answer, Answered, Unanswered
from tests.fakes_query import NOW
from tests.running import free_port

pytestmark = pytest.mark.anyio

PUBLIC: Final = "93.184.215.14"
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class StoppedClock:
    """Implements Clock."""

    def now(self) -> int:
        return NOW


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """The URL of a receiver; each of its connections is closed in the end."""
    serving: list[asyncio.Task[None]] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.get_running_loop().create_task(one(reader, writer)))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks?a=b"
    await asyncio.gather(*serving)


@dataclass
class Canned:
    """A receiver that answers everything with `answer`, then hangs up."""

    answer: bytes = ANSWER
    requests: list[bytes] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head + await reader.readexactly(4))
        writer.write(self.answer)
        await writer.drain()


async def carried(url: str, *, seconds: float = 5.0, private: bool = True, http: bool = True) -> Answer:
    rules = UrlRules(allow_http=http, allow_private=private)
    async with HttpCarrier.open(StoppedClock(), rules, timeout=timedelta(seconds=seconds)) as carrier:
        return await carrier.carry(url, {"webhook-id": "msg_1", "content-type": "application/json"}, b'{""}')


async def test_the_receiver_gets_what_was_sent_and_its_answer_counts() -> None:
    canned = Canned()
    async with serving(canned) as url:
        assert await carried(url) == Answered(200)
    [request] = canned.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hooks?a=b HTTP/1.1\r\n")
    assert b"webhook-id: msg_1" in head
    assert body == b'{""}'


@pytest.mark.parametrize("status", [204, 302, 307, 404, 410, 500])
async def test_every_status_is_an_answer_and_redirects_are_not_followed(status: int) -> None:
    target = Canned()
    async with serving(target) as elsewhere:
        location = f"HTTP/1.1 {status} X\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n"
        async with serving(Canned(location.encode())) as url:
            assert await carried(url) == Answered(status)
    assert target.requests == []


@pytest.mark.parametrize(
    ("asked", "not_before"),
    [
        ("120", NOW + 120 * SECOND),
        ("Fri, 01 May 2026 13:00:00 GMT", NOW + HOUR),
        ("9" * 19, NOW + 10**9 * SECOND),
        ("9" * 30, None),
        ("-1", None),
        ("soon", None),
        ("Fri, 99 May 2026 13:00:00 GMT", None),
        ("Fri, 01 May 2026 13:00:00 -0000", parse("2026-05-01T13:00:00Z")),
        ("", None),
    ],
)
async def test_a_receiver_may_say_when(asked: str, not_before: int | None) -> None:
    answer = f"HTTP/1.1 503 X\r\nRetry-After: {asked}\r\nContent-Length: 0\r\n\r\n".encode()
    async with serving(Canned(answer)) as url:
        assert await carried(url) == Answered(503, not_before)


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()

    async with serving(endless) as url:
        assert await carried(url) == Answered(200)


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b"HTTP/1.1 200"]
)
async def test_what_is_no_whole_answer_is_none(answer: bytes) -> None:
    async with serving(Canned(answer)) as url:
        assert isinstance(await carried(url), Unanswered)


async def test_a_receiver_that_says_nothing_is_given_up() -> None:
    over = asyncio.Event()

    async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await over.wait()

    async with serving(silent) as url:
        assert await carried(url, seconds=0.2) == Unanswered("no answer within 0.2 s")
        over.set()


async def test_a_receiver_that_says_it_slowly_is_given_up_too() -> None:
    over = asyncio.Event()

    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in ANSWER:
            writer.write(bytes([byte]))
            try:
                async with asyncio.timeout(0.05):
                    await over.wait()
            except TimeoutError:
                continue
            break

    async with serving(slow) as url:
        assert await carried(url, seconds=0.3) == Unanswered("no answer within 0.3 s")
        over.set()


async def test_who_does_not_listen_gives_no_answer() -> None:
    refused = await carried(f"http://127.0.0.1:{free_port()}/")
    assert refused == Unanswered("the host does not accept connections")
    assert await carried("http://nowhere.invalid/") == Unanswered("the name cannot be resolved")


async def test_plain_http_and_private_addresses_are_for_tests_alone() -> None:
    canned = Canned()
    async with serving(canned) as url:
        assert await carried(url, http=False) == Unanswered("only https is allowed")
        refused = Unanswered("the host does not resolve to public addresses alone")
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]"):
            assert await carried(url.replace("127.0.0.1", host), private=False) == refused
    assert canned.requests == []


async def test_tls_of_a_plain_server_is_no_answer() -> None:
    async with serving(Canned()) as url:
        answer = await carried(url.replace("http:", "https:"), seconds=2)
    assert isinstance(answer, Unanswered)


@dataclass
class Names:
    """What a name resolves to, one time after the other."""

    answers: list[Sequence[str]]

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        return self.answers.pop(0)


class Wire(httpcore.AsyncMockStream):
    """Remembers what it is asked for."""

    def __init__(self, network: Network) -> None:
        super().__init__([ANSWER])
        self.network = network

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.network.sent += buffer

    async def start_tls(
        self, ssl_context: object, server_hostname: str | None = None, timeout: float | None = None
    ) -> Wire:
        self.network.names.append(server_hostname)
        return self


class Network(httpcore.AsyncNetworkBackend):
    """Connects nowhere, and remembers where to; `dead` addresses accept no connection."""

    def __init__(self, *dead: str) -> None:
        self.dead = dead
        self.addresses: list[str] = []
        self.names: list[str | None] = []
        self.sent = b""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.addresses.append(host)
        if host in self.dead:
            raise httpcore.ConnectError
        return Wire(self)


async def asked(names: Names, network: Network) -> Answer:
    checked = CheckedNetwork(resolve=names, inner=network)
    async with httpcore.AsyncConnectionPool(network_backend=checked) as connections:
        carrier = HttpCarrier(connections, StoppedClock(), UrlRules(), timeout=timedelta(seconds=5))
        return await carrier.carry("https://hooks.example.com:8443/x", {}, b"{}")


async def test_the_address_that_was_checked_is_connected_to_by_the_host_s_name() -> None:
    """A name that leads inside when it is asked again (DNS rebinding) is not asked again."""
    names, network = Names([[PUBLIC], ["127.0.0.1"]]), Network()
    assert await asked(names, network) == Answered(200)
    assert network.addresses == [PUBLIC]
    assert network.names == ["hooks.example.com"]
    assert b"Host: hooks.example.com:8443\r\n" in network.sent
    assert len(names.answers) == 1


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    for addresses in ([PUBLIC, "10.0.0.1"], ["169.254.169.254"], [PUBLIC, "::1"], ["::ffff:10.0.0.1"]):
        network = Network()
        answer = await asked(Names([addresses]), network)
        assert answer == Unanswered("the host does not resolve to public addresses alone")
        assert network.addresses == []


async def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    network = Network(PUBLIC)
    assert await asked(Names([[PUBLIC, "1.1.1.1"]]), network) == Answered(200)
    assert network.addresses == [PUBLIC, "1.1.1.1"]
    assert isinstance(await asked(Names([[PUBLIC]]), Network(PUBLIC)), Unanswered)
    assert isinstance(await asked(Names([[]]), Network()), Unanswered)


async def test_a_refusal_is_no_error_of_the_network() -> None:
    with pytest.raises(RefusedAddress):
        await CheckedNetwork(resolve=Names([["10.0.0.1"]])).connect_tcp("x", 443)
