"""Request bodies: read no further than they may be long, before and after decompression."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import anyio
import zstandard

from ingest.limits import Limits, Waiting
from meterhouse.adapters.http.errors import RequestTimeout, UnsupportedMediaType
from meterhouse.domain.errors import Invalid, TooLarge

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# zlib: 15 bits of window, and 16 for a gzip header and trailer (RFC 1952).
_GZIP_WINDOW: Final = 15 + 16
# RFC 9659: what every HTTP decoder of zstd must support, and no more.
_ZSTD_MAX_WINDOW: Final = 8 * 1024 * 1024
# zstd gives out all that a piece holds, up to 128 KiB for 4 bytes: small pieces bound the surplus (8 MiB).
_ZSTD_PIECE: Final = 256

_CONTENT_CODINGS: Final = "gzip, zstd"


class ClientGone(Exception):
    """The client went away before its request was whole; there is nobody to answer."""


class Body:
    """The body of one request; `held` is what it counts for among all that wait."""

    __slots__ = ("_limits", "_receive", "_waiting", "held")

    def __init__(self, receive: Receive, waiting: Waiting, limits: Limits) -> None:
        self._receive = receive
        self._waiting = waiting
        self._limits = limits
        self.held = 0

    async def read(self, headers: Mapping[bytes, bytes], limit: int) -> bytes:
        """The whole body, decompressed, of at most `limit` bytes.

        Raises TooLarge as soon as it is known to be, Invalid for a body that is not what its headers say,
        UnsupportedMediaType for another Content-Encoding, Overloaded, RequestTimeout, ClientGone.
        """
        coding = _coding(headers.get(b"content-encoding"))
        declared = _declared_length(headers.get(b"content-length"))
        if declared is not None and declared > limit:
            raise _too_large(limit)
        body = await self._whole(limit)
        if declared is not None and declared != len(body):
            raise Invalid.field("body", "is not as long as Content-Length says", "truncated")
        if coding is None:
            return body
        decoded = _gunzip(body, limit) if coding == "gzip" else _unzstd(body, limit)
        self._hold(len(decoded))
        return decoded

    async def _whole(self, limit: int) -> bytes:
        message = await self._message()
        first: bytes = message.get("body", b"")
        self._hold(len(first))
        if len(first) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return first
        try:
            with anyio.fail_after(self._limits.max_body_wait.total_seconds()):
                return await self._rest(first, limit)
        except TimeoutError as error:
            raise RequestTimeout("the request's body did not arrive in time") from error

    async def _rest(self, first: bytes, limit: int) -> bytes:
        chunks = bytearray(first)
        more = True
        while more:
            message = await self._message()
            chunk: bytes = message.get("body", b"")
            self._hold(len(chunk))
            if len(chunks) + len(chunk) > limit:
                raise _too_large(limit)
            chunks += chunk
            more = message.get("more_body", False)
        return bytes(chunks)

    async def _message(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message

    def _hold(self, count: int) -> None:
        self.held += self._waiting.hold(count)


def _coding(header: bytes | None) -> str | None:
    """The content coding to undo (RFC 9110, 8.4), None for none."""
    if header is None:
        return None
    name = header.strip().lower()
    if name in {b"", b"identity"}:
        return None
    if name in {b"gzip", b"x-gzip"}:
        return "gzip"
    if name == b"zstd":
        return "zstd"
    raise UnsupportedMediaType("Content-Encoding may be gzip or zstd", accept_encoding=_CONTENT_CODINGS)


def _declared_length(header: bytes | None) -> int | None:
    if header is None:
        return None
    if not header.isdigit() or len(header) > 18:
        raise Invalid.field("Content-Length", "must be a whole number", "invalid_format")
    return int(header)


def _gunzip(body: bytes, limit: int) -> bytes:
    """Undo gzip, of one member or several (RFC 1952, 2.2)."""
    decoded = bytearray()
    rest = body
    try:
        while True:
            member = zlib.decompressobj(_GZIP_WINDOW)
            decoded += member.decompress(rest, limit + 1 - len(decoded))
            if len(decoded) > limit:
                raise _too_large(limit)
            if not member.eof:
                raise Invalid.field("body", "ends within its gzip data", "truncated")
            rest = member.unused_data
            if not rest:
                return bytes(decoded)
    except zlib.error as error:
        raise Invalid.field("body", "is not gzip data", "invalid_encoding") from error


def _unzstd(body: bytes, limit: int) -> bytes:
    """Undo zstd, of one frame or several (RFC 8878, 3)."""
    decoded = bytearray()
    frame = None
    rest = memoryview(body)
    try:
        while rest:
            if frame is None:
                frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW).decompressobj()
            piece, rest = rest[:_ZSTD_PIECE], rest[_ZSTD_PIECE:]
            decoded += frame.decompress(piece)
            if len(decoded) > limit:
                raise _too_large(limit)
            if frame.eof:
                rest = memoryview(body)[len(body) - len(rest) - len(frame.unused_data) :]
                frame = None
    except zstandard.ZstdError as error:
        raise Invalid.field("body", "is not zstd data", "invalid_encoding") from error
    if frame is not None or not body:
        raise Invalid.field("body", "ends within its zstd data", "truncated")
    return bytes(decoded)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request's body may be {limit} bytes long here, after decompression too")
