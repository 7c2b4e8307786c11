"""Where a statement ends and its data begins, and the same INSERT over a file, as chDB wants it.

ClickHouse reads URL and body as one text. What follows an INSERT's FORMAT and its line is data, of any bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.binding import format_str

_TOKEN: Final = re.compile(
    rb"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|--[^\n]*|/\*.*?\*/|\w+|.", re.DOTALL
)
_FORMAT: Final = re.compile(rb"\s+(\w+)[ \t\f\v]*;?[ \t\f\v]*\r?\n?")
_SPACE: Final = re.compile(rb"\s*")
_FIRST: Final = re.compile(rb"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(\w+)", re.DOTALL)
_LAST_FORMAT: Final = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*\Z", re.IGNORECASE)

_WITH_ROWS: Final = frozenset({b"SELECT", b"WITH", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN"})


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose rows came with the request: its text up to FORMAT, the format, and the rows."""

    head: bytes
    format: str
    data: bytes

    def over(self, path: str) -> str:
        """The INSERT that takes the rows from the file at `path`."""
        calls = [
            (start, end)
            for start, end, word in _words(self.head)
            if word == b"INPUT" and _called(self.head, end)
        ]
        if calls:
            # FROM INFILE beside a SELECT from input() parses, and inserts nothing
            source = f"file({format_str(path)}, {self.format}, ".encode()
            [(start, end)] = calls
            return (self.head[:start] + source + self.head[self.head.index(b"(", end) + 1 :]).decode()
        settings = next(
            (start for start, _, word in _words(self.head) if word == b"SETTINGS"), len(self.head)
        )
        infile = f" FROM INFILE {format_str(path)} ".encode()
        return (self.head[:settings] + infile + self.head[settings:]).decode() + f" FORMAT {self.format}"


def insert_with_data(text: bytes) -> Insert | None:
    """The INSERT with data that `text` is; None if it is anything else, such as INSERT … VALUES or SELECT."""
    if first_word(text) != b"INSERT":
        return None
    for start, end, word in _words(text):
        if word == b"VALUES":
            return None
        if word == b"FORMAT" and (named := _FORMAT.match(text, end)) is not None:
            return Insert(text[:start], named.group(1).decode(), text[named.end() :])
    return None


def first_word(text: bytes) -> bytes:
    """The keyword that a statement begins with, in capitals."""
    match = _FIRST.match(text)
    return match.group(1).upper() if match else b""


def format_of(text: bytes, default: str) -> str | None:
    """The format of the statement's rows; None for one that answers none."""
    if first_word(text) not in _WITH_ROWS:
        return None
    named = _LAST_FORMAT.search(text)
    return named.group(1).decode() if named else default


def _words(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Start, end and capitals of each word; `input` at any depth, others outside parentheses."""
    depth = 0
    for token in _TOKEN.finditer(text):
        word = token.group().upper()
        if word in (b"(", b")"):
            depth += 1 if word == b"(" else -1
        elif depth == 0 or word == b"INPUT":
            yield token.start(), token.end(), word


def _called(text: bytes, end: int) -> bool:
    space = _SPACE.match(text, end)
    return space is not None and text[space.end() : space.end() + 1] == b"("
