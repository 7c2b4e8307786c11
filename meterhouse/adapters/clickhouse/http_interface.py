"""ClickHouse's HTTP interface: a request as a statement, an answer or an error as a response."""

from __future__ import annotations

import gzip
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from uuid import uuid4

import zstandard
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from meterhouse.adapters.clickhouse.compressed_blocks import compressed
from meterhouse.adapters.clickhouse.engine import READONLY, Answer, Refused, Request
from meterhouse.adapters.clickhouse.native_blocks import FIRST_FRAMED, UnknownType, framed

NOT_IMPLEMENTED: Final = 48
TOO_LARGE: Final = 191
UNPARSABLE: Final = 6

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

# As ClickHouse's exceptionCodeToHTTPStatus, for the errors that clients meet.
_STATUS: Final = {
    READONLY: 403, NOT_IMPLEMENTED: 501, TOO_LARGE: 413, UNPARSABLE: 400, 27: 400, 36: 400, 41: 400,
    43: 400, 46: 404, 47: 404, 50: 404, 53: 400, 60: 404, 62: 400, 73: 404, 81: 404, 115: 404, 456: 400,
    457: 400, 516: 403,
}  # fmt: skip

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


def create_interface(answered: Callable[[HttpRequest], Awaitable[Answer | None]]) -> Starlette:
    """An ASGI application in which `answered` runs a request's statement.

    It answers None for a request without a statement, which only asks whether we are there, and raises
    Refused, whose code and message reach the client as ClickHouse's own would.
    """

    async def query(request: HttpRequest) -> Response:
        query_id = request.query_params.get("query_id") or str(uuid4())
        headers = {
            "X-ClickHouse-Query-Id": re.sub(r"[^ -~]", "", query_id),
            "X-ClickHouse-Server-Display-Name": "meterhouse",
            "X-ClickHouse-Summary": "{}",
        }
        try:
            answer = await answered(request)
            return PlainTextResponse("Ok.\n") if answer is None else _response(request, answer, headers)
        except Refused as error:
            headers["X-ClickHouse-Exception-Code"] = str(error.code)
            return PlainTextResponse(_worded(error), _STATUS.get(error.code, 500), headers)

    return Starlette(routes=[Route("/ping", _ping), Route("/", query, methods=["GET", "POST"])])


def described(
    statement: str, parameters: Mapping[str, str], headers: Mapping[str, str], database: str
) -> Request:
    """The statement with all that the request's URL (or form) and headers say of it.

    `database` is where it runs if neither names one.
    """
    return Request(
        query=statement,
        default_format=parameters.get("default_format")
        or headers.get("x-clickhouse-format")
        or "TabSeparated",
        database=parameters.get("database") or headers.get("x-clickhouse-database") or database,
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


async def _ping(_: HttpRequest) -> Response:
    return PlainTextResponse("Ok.\n")


def _worded(error: Refused) -> str:
    message = str(error)
    return (
        f"{message}\n" if message.startswith("Code: ") else f"Code: {error.code}. DB::Exception: {message}\n"
    )


def _response(request: HttpRequest, answer: Answer, headers: dict[str, str]) -> Response:
    headers["X-ClickHouse-Timezone"] = answer.timezone
    if answer.format is None:
        return Response(answer.body, headers=headers, media_type="text/plain")
    body = answer.body
    version = request.query_params.get("client_protocol_version", "0")
    if answer.format == "Native" and version.isdecimal() and int(version) >= FIRST_FRAMED:
        try:
            body = framed(body)
        except UnknownType as error:
            message = f"Native of type {error} is not supported for this client. (NOT_IMPLEMENTED)"
            raise Refused(NOT_IMPLEMENTED, message) from error
    headers["X-ClickHouse-Format"] = answer.format
    if request.query_params.get("compress", "0") not in ("0", "false"):
        body = compressed(body, request.query_params.get("network_compression_method", "LZ4"))
    # clickhouse-go asks with the header alone, as HTTP has it; ClickHouse wants the setting as well
    accepted = {part.split(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")}
    if body and "zstd" in accepted:
        body = zstandard.ZstdCompressor().compress(body)
        headers["Content-Encoding"] = "zstd"
    elif body and "gzip" in accepted:
        body = gzip.compress(body, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type=_MEDIA_TYPES.get(answer.format, "text/plain"))
