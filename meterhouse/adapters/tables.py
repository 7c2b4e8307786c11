"""Tables as files: CSV (RFC 4180) and Arrow's stream format."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pyarrow as pa


class Kind(StrEnum):
    """What a column holds: `int` instants, `str`, `Decimal`, whole numbers from 0 up, or `bool`."""

    INSTANT = "instant"
    TEXT = "text"
    DECIMAL = "decimal"
    COUNT = "count"
    BOOL = "bool"


@dataclass(frozen=True, slots=True)
class Column:
    """A named column; `texts` says how its values look in CSV, where that is not their own text."""

    name: str
    kind: Kind
    values: Sequence[object]
    texts: Sequence[str] | None = None
    time_zone: str = "UTC"


_DIGITS: Final = 76


def csv_text(columns: Sequence[Column]) -> str:
    """A header and a line a row, with CRLF, every text quoted that needs it."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow([column.name for column in columns])
    writer.writerows(zip(*[column.texts or column.values for column in columns], strict=True))
    return sink.getvalue()


def arrow_stream(columns: Sequence[Column]) -> bytes:
    """One record batch in Arrow's stream format (media type application/vnd.apache.arrow.stream)."""
    arrays = [pa.array(column.values, _type(column)) for column in columns]
    fields = [pa.field(column.name, array.type) for column, array in zip(columns, arrays, strict=True)]
    schema = pa.schema(fields)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=schema))
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _type(column: Column) -> pa.DataType:
    match column.kind:
        case Kind.INSTANT:
            return pa.timestamp("us", column.time_zone)
        case Kind.TEXT:
            return pa.string()
        case Kind.DECIMAL:
            return pa.decimal256(_DIGITS, 18)
        case Kind.COUNT:
            return pa.uint64()
        case Kind.BOOL:
            return pa.bool_()
