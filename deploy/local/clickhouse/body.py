"""A request's body as it was before it was compressed, or put into a form."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import lz4.frame
import zstandard

from meterhouse.adapters.clickhouse.engine import Refused
from meterhouse.adapters.clickhouse.http_interface import UNPARSABLE

_BOUNDARY: Final = re.compile(r'boundary="?([^";]+)"?')
_NAME: Final = re.compile(rb'[; ]name="([^"]*)"')
_FILE: Final = re.compile(rb'[; ]filename="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Part:
    """A field of a form, or a file of it."""

    name: str
    is_file: bool
    data: bytes


def decompressed(body: bytes, encoding: str) -> bytes:
    """All of the body, of however many frames. Raises Refused where it is cut, or not in `encoding`."""
    try:
        match encoding:
            case "" | "identity":
                return body
            case "lz4":
                return b"".join(_lz4_frames(body))
            case "zstd":
                with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
                    return reader.read()
            case "gzip":
                return gzip.decompress(body)
            case "deflate":
                return zlib.decompress(body)
            case _:
                raise Refused(UNPARSABLE, f"Unknown compression method {encoding!r}. (CANNOT_PARSE_TEXT)")
    except (zlib.error, zstandard.ZstdError, EOFError, OSError, RuntimeError) as error:
        raise Refused(UNPARSABLE, f"The body is not {encoding}: {error}. (CANNOT_PARSE_TEXT)") from error


def form_parts(body: bytes, content_type: str) -> Iterator[Part]:
    """The parts of a multipart/form-data body, in their order (RFC 7578)."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise Refused(UNPARSABLE, "A form without a boundary. (CANNOT_PARSE_TEXT)")
    delimiter = b"\r\n--" + boundary.group(1).encode()
    _, *parts = (b"\r\n" + body).split(delimiter)
    if not parts or not parts.pop().startswith(b"--"):
        raise Refused(UNPARSABLE, "The form is cut. (CANNOT_PARSE_TEXT)")
    for part in parts:
        head, _, data = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if name is None:
            raise Refused(UNPARSABLE, "A part of the form without a name. (CANNOT_PARSE_TEXT)")
        yield Part(name.group(1).decode(), _FILE.search(head) is not None, data)


def _lz4_frames(body: bytes) -> Iterator[bytes]:
    """clickhouse-connect sends a frame a block, of which lz4.frame.decompress would read the first alone."""
    while body:
        frame = lz4.frame.LZ4FrameDecompressor()
        yield frame.decompress(body)
        if not frame.eof:
            raise EOFError("the last frame is cut")
        body = frame.unused_data or b""
