"""The embedded engine behind ClickHouse's HTTP interface, read only: for Grafana and other tools."""

from __future__ import annotations

import gzip
import re
import zlib
from typing import Final
from uuid import uuid4

import anyio
import anyio.to_thread
import zstandard
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.native_blocks import FIRST_FRAMED, UnknownType, framed
from meterhouse.adapters.clickhouse.read_only_engine import READONLY, Answer, ReadOnlyEngine, Refused, Request

MAX_QUERY: Final = 1 << 20  # bytes of a statement, also after decompression
_AT_ONCE: Final = 2  # statements; reading must leave the aggregator a core to work on

_NOT_IMPLEMENTED: Final = 48
_TOO_LARGE: Final = 191
_UNPARSABLE: Final = 6

# What ClickHouse's own HTTP handler takes for itself; everything else in a URL is a setting.
_TRANSPORT: Final = frozenset(
    {
        "add_http_cors_header", "buffer_size", "cancel_http_readonly_queries_on_client_close",
        "client_protocol_version", "compress", "database", "decompress", "default_format",
        "enable_http_compression", "http_headers_progress_interval_ms",
        "http_write_exception_in_output_format", "http_zlib_compression_level", "password", "query",
        "query_id", "quota_key", "role", "send_progress_in_http_headers", "session_check", "session_id",
        "session_timeout", "stacktrace", "user", "wait_end_of_query",
    }
)  # fmt: skip

# As ClickHouse's exceptionCodeToHTTPStatus, for the errors that readers meet.
_STATUS: Final = {
    READONLY: 403, _NOT_IMPLEMENTED: 501, _TOO_LARGE: 413, _UNPARSABLE: 400, 27: 400, 36: 400, 41: 400,
    43: 400, 46: 404, 47: 404, 50: 404, 53: 400, 60: 404, 62: 400, 73: 404, 81: 404, 115: 404, 456: 400,
    457: 400,
}  # fmt: skip


def create_app(pool: ClickHousePool) -> Starlette:
    """An ASGI application over the embedded engine that `pool` has open; its database is the default one.

    It has connections of its own and takes none of the pool's.
    """
    assert pool.embedded, "a ClickHouse server has an HTTP interface itself"
    engine = ReadOnlyEngine(pool.dsn.removeprefix("chdb://"))
    turns = anyio.CapacityLimiter(_AT_ONCE)

    async def query(request: HttpRequest) -> Response:
        query_id = request.query_params.get("query_id") or str(uuid4())
        headers = {
            "X-ClickHouse-Query-Id": re.sub(r"[^ -~]", "", query_id),
            "X-ClickHouse-Server-Display-Name": "meterhouse",
            "X-ClickHouse-Summary": "{}",
        }
        try:
            asked = _asked(request, await _statement(request), pool.database)
            if asked is None:
                return PlainTextResponse("Ok.\n")
            answer = await anyio.to_thread.run_sync(engine.answer, asked, limiter=turns)
            return _response(request, answer, headers)
        except Refused as error:
            headers["X-ClickHouse-Exception-Code"] = str(error.code)
            return PlainTextResponse(_worded(error), _STATUS.get(error.code, 500), headers)

    return Starlette(routes=[Route("/ping", _ping), Route("/", query, methods=["GET", "POST"])])


async def _ping(_: HttpRequest) -> Response:
    return PlainTextResponse("Ok.\n")


async def _statement(request: HttpRequest) -> str:
    """The query of the URL and of the body, one after the other, as ClickHouse joins them."""
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/"):
        raise Refused(_NOT_IMPLEMENTED, "External data is not supported here. (NOT_IMPLEMENTED)")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_QUERY:
            raise Refused(_TOO_LARGE, f"The statement is longer than {MAX_QUERY} bytes. (TOO_LARGE)")
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
        raise Refused(_UNPARSABLE, f"The body is not {encoding}: {error}. (CANNOT_PARSE_TEXT)") from error
    if len(inflated) > MAX_QUERY:
        raise Refused(_TOO_LARGE, f"The statement is longer than {MAX_QUERY} bytes. (TOO_LARGE)")
    return inflated


def _asked(request: HttpRequest, statement: str, database: str) -> Request | None:
    """What is to be run; None for a request without a statement, which only asks whether we are there."""
    parameters = request.query_params
    if not statement:
        return None
    if parameters.get("compress", "0") not in ("0", "false"):
        message = "compress=1 is not supported here; ask for gzip with Accept-Encoding. (NOT_IMPLEMENTED)"
        raise Refused(_NOT_IMPLEMENTED, message)
    named = request.headers
    return Request(
        query=statement,
        default_format=parameters.get("default_format") or named.get("x-clickhouse-format") or "TabSeparated",
        database=parameters.get("database") or named.get("x-clickhouse-database") or database,
        settings={
            name: value
            for name, value in parameters.items()
            if name not in _TRANSPORT and not name.startswith("param_")
        },
        parameters={
            name.removeprefix("param_"): value
            for name, value in parameters.items()
            if name.startswith("param_")
        },
    )


def _worded(error: Refused) -> str:
    message = str(error)
    return (
        f"{message}\n" if message.startswith("Code: ") else f"Code: {error.code}. DB::Exception: {message}\n"
    )


def _response(request: HttpRequest, answer: Answer, headers: dict[str, str]) -> Response:
    body = answer.body
    version = request.query_params.get("client_protocol_version", "0")
    if answer.format == "Native" and version.isdecimal() and int(version) >= FIRST_FRAMED:
        try:
            body = framed(body)
        except UnknownType as error:
            message = f"Native of type {error} is not supported for this client. (NOT_IMPLEMENTED)"
            raise Refused(_NOT_IMPLEMENTED, message) from error
    headers |= {"X-ClickHouse-Format": answer.format, "X-ClickHouse-Timezone": answer.timezone}
    # clickhouse-go asks with the header alone, as HTTP has it; ClickHouse wants the setting as well
    accepted = {part.split(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")}
    if body and "zstd" in accepted:
        body = zstandard.ZstdCompressor().compress(body)
        headers["Content-Encoding"] = "zstd"
    elif body and "gzip" in accepted:
        body = gzip.compress(body, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type=_MEDIA_TYPES.get(answer.format, "text/plain"))


_MEDIA_TYPES: Final = {
    "JSON": "application/json",
    "JSONCompact": "application/json",
    "JSONEachRow": "application/x-ndjson",
    "CSV": "text/csv",
    "TabSeparated": "text/tab-separated-values",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "Parquet": "application/octet-stream",
}
