"""ClickHouse's Native format, as clients that announce a protocol version expect it.

chDB writes Native as for a client that announces none. From DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION on,
a block begins with its info, and each column says after its type whether its serialization is a special one.
clickhouse-go (so Grafana) reads nothing else. To find where a column ends, its type has to be understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

# Below it, clients (clickhouse-connect asks for 54405) fall back to Native without a version.
FIRST_FRAMED: Final = 54454

_BLOCK_INFO: Final = bytes([1, 0, 2, 255, 255, 255, 255, 0])  # not overflowed, bucket -1, end
_NOT_SPECIAL: Final = b"\0"

_WIDTHS: Final = {
    "Bool": 1, "Int8": 1, "UInt8": 1, "Enum8": 1, "Nothing": 1,
    "Int16": 2, "UInt16": 2, "Enum16": 2, "Date": 2, "BFloat16": 2,
    "Int32": 4, "UInt32": 4, "Float32": 4, "Date32": 4, "DateTime": 4, "IPv4": 4, "Time": 4, "Decimal32": 4,
    "Int64": 8, "UInt64": 8, "Float64": 8, "DateTime64": 8, "Time64": 8, "Decimal64": 8,
    "Int128": 16, "UInt128": 16, "UUID": 16, "IPv6": 16, "Decimal128": 16,
    "Int256": 32, "UInt256": 32, "Decimal256": 32,
}  # fmt: skip
_INTERVAL: Final = re.compile(r"Interval\w+")
_ADDITIONAL_KEYS: Final = 1 << 9  # of a LowCardinality column's index type


class UnknownType(Exception):
    """A column's type is not one of those whose length can be told."""


def framed(data: bytes) -> bytes:
    """The same blocks with what a client of FIRST_FRAMED or later expects in them. Raises UnknownType."""
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        pieces.append(_BLOCK_INFO)
        start = at
        columns, at = _varint(data, at)
        rows, at = _varint(data, at)
        for _ in range(columns):
            _, at = _string(data, at)
            kind, at = _string(data, at)
            pieces += [data[start:at], _NOT_SPECIAL]
            start = at
            if rows:
                # each LowCardinality announces its version ahead of all data of its column
                at = _end(kind.decode(), data, at + 8 * kind.count(b"LowCardinality("), rows)
        pieces.append(data[start:at])
    return b"".join(pieces)


def _end(kind: str, data: bytes, at: int, rows: int) -> int:
    """Where `rows` values of the type end that begin at `at`."""
    if not rows:
        return at
    name, *arguments = _parts(kind)
    if name in _WIDTHS or _INTERVAL.fullmatch(name):
        return at + rows * _WIDTHS.get(name, 8)
    match name, arguments:
        case "String", _:
            for _ in range(rows):
                length, at = _varint(data, at)
                at += length
            return at
        case "FixedString", [length_text]:
            return at + rows * int(length_text)
        case "Decimal", [digits, _]:
            return at + rows * _decimal_width(int(digits))
        case "Nullable", [inner]:
            return _end(inner, data, at + rows, rows)
        case "SimpleAggregateFunction", [_, inner]:
            return _end(inner, data, at, rows)
        case "Array", [inner]:
            return _end(inner, data, at + 8 * rows, _uint64(data, at + 8 * (rows - 1)))
        case "Map", [key, value]:
            return _end(f"Array(Tuple({key}, {value}))", data, at, rows)
        case "Tuple", [_, *_]:
            for element in arguments:
                at = _end(element, data, at, rows)
            return at
        case "LowCardinality", [inner]:
            return _low_cardinality_end(inner, data, at)
    raise UnknownType(kind)


def _low_cardinality_end(inner: str, data: bytes, at: int) -> int:
    flags, at = _uint64(data, at), at + 8
    if flags & _ADDITIONAL_KEYS:
        keys = _uint64(data, at)
        at = _end(inner.removeprefix("Nullable(").removesuffix(")"), data, at + 8, keys)
    rows = _uint64(data, at)
    return at + 8 + rows * (1 << (flags & 0xFF))


def _decimal_width(digits: int) -> int:
    return next(width for width, most in ((4, 9), (8, 18), (16, 38), (32, 76)) if digits <= most)


def _parts(kind: str) -> list[str]:
    """`Map(String, Array(a UInt8))` as Map, String, Array(a UInt8); the names of elements are left out."""
    name, parenthesis, rest = kind.partition("(")
    name = name.rsplit(" ", 1)[-1]
    if not parenthesis:
        return [name]
    inside = rest.removesuffix(")")
    cuts = [-1, *[place for place, letter in _outer(inside) if letter == ","], len(inside)]
    return [name, *[_unnamed(inside[start + 1 : end].strip()) for start, end in pairwise(cuts)]]


def _unnamed(element: str) -> str:
    spaces = [place for place, letter in _outer(element) if letter == " "]
    return element[spaces[-1] + 1 :] if spaces else element


def _outer(text: str) -> Iterator[tuple[int, str]]:
    """The letters that are in no parentheses and no quotes."""
    depth, quote = 0, ""
    escaped = False
    for place, letter in enumerate(text):
        if quote:
            quote = quote if escaped or letter != quote else ""
            escaped = letter == "\\" and not escaped
        elif letter in "'`":
            quote = letter
        elif letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
        elif not depth:
            yield place, letter


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = _varint(data, at)
    return data[at : at + length], at + length


def _uint64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")
