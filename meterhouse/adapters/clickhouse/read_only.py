"""The embedded engine behind ClickHouse's HTTP interface, read only: for Grafana and other tools."""

from __future__ import annotations

import zlib
from typing import Final

import anyio
import anyio.to_thread
import zstandard
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.engine import READONLY, Answer, Refused
from meterhouse.adapters.clickhouse.http_interface import (
    NOT_IMPLEMENTED,
    TOO_LARGE,
    UNPARSABLE,
    create_interface,
    described,
)
from meterhouse.adapters.clickhouse.read_only_engine import ReadOnlyEngine

MAX_QUERY: Final = 1 << 20  # bytes of a statement, also after decompression
_AT_ONCE: Final = 2  # statements; reading must leave the aggregator a core to work on


def create_app(pool: ClickHousePool) -> Starlette:
    """An ASGI application over the embedded engine that `pool` has open; its database is the default one.

    It has connections of its own and takes none of the pool's.
    """
    assert pool.folder is not None, "a ClickHouse server has an HTTP interface itself"
    engine = ReadOnlyEngine(pool.folder)
    turns = anyio.CapacityLimiter(_AT_ONCE)

    async def answered(request: HttpRequest) -> Answer | None:
        statement = await _statement(request)
        if not statement:
            return None
        asked = described(statement, request.query_params, request.headers, pool.tables.database)
        return await anyio.to_thread.run_sync(engine.answer, asked, limiter=turns)

    return create_interface(answered)


async def _statement(request: HttpRequest) -> str:
    """The query of the URL and of the body, one after the other, as ClickHouse joins them."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/"):
        raise Refused(NOT_IMPLEMENTED, "External data is not supported here. (NOT_IMPLEMENTED)")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_QUERY:
            raise Refused(TOO_LARGE, f"The statement is longer than {MAX_QUERY} bytes. (TOO_LARGE)")
    try:
        text = _inflated(bytes(body), request.headers.get("content-encoding", "identity")).decode()
    except UnicodeDecodeError:
        raise Refused(
            READONLY, "The body is not text, so it is data. This port is read only. (READONLY)"
        ) from None
    return "\n".join([part for part in (request.query_params.get("query", ""), text) if part.strip()])


def _inflated(body: bytes, encoding: str) -> bytes:
    try:
        match encoding:
            case "identity" | "":
                return body
            case "gzip" | "deflate":
                # 32: gzip or zlib, whichever header is there
                inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
                inflated = inflater.decompress(body, MAX_QUERY + 1)
            case "zstd":
                with zstandard.ZstdDecompressor().stream_reader(body) as reader:
                    inflated = reader.read(MAX_QUERY + 1)
            case _:
                message = f"A body in {encoding} is data to insert. This port is read only. (READONLY)"
                raise Refused(READONLY, message)
    except (zlib.error, zstandard.ZstdError) as error:
        raise Refused(UNPARSABLE, f"The body is not {encoding}: {error}. (CANNOT_PARSE_TEXT)") from error
    if len(inflated) > MAX_QUERY:
        raise Refused(TOO_LARGE, f"The statement is longer than {MAX_QUERY} bytes. (TOO_LARGE)")
    return inflated
