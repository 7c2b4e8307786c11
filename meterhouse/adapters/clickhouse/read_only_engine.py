"""Statements of strangers on the embedded engine, which may read tables and nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import chdb

READONLY: Final = 164  # ClickHouse's own code for what a read-only user must not do

_READING: Final = ("Select", "Show", "Describe", "Exists", "Explain")
_SAFE_TABLE_FUNCTIONS: Final = frozenset(
    {
        "format", "generateRandom", "generateSeries", "generate_series", "merge", "null", "numbers",
        "numbers_mt", "values", "view", "zeros", "zeros_mt",
    }
)  # fmt: skip

# `dialect` would run another statement than the one that was looked at; a template is a file.
_REFUSED_SETTINGS: Final = re.compile(r"readonly|allow_ddl|dialect|format_schema.*|format_template_.*")
_SETTING: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMAT: Final = re.compile(r"\bFORMAT (\w+)$")
_CODE: Final = re.compile(r"Code: (\d+)\.")
_FUNCTION: Final = re.compile(r"^ *Function (\S+)", re.MULTILINE)
_OUTFILE: Final = re.compile(r"^ Literal ", re.MULTILINE)


class Refused(Exception):
    """What ClickHouse would say: `code` is its number for the kind of error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One statement; `parameters` are the values of its {name:Type} places, escaped as in a URL's param_…."""

    query: str
    default_format: str
    database: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows in `format`, and the zone in which times without one are to be read."""

    body: bytes
    format: str
    timezone: str


class ReadOnlyEngine:
    """The chDB engine of this process at `path`, for reading.

    Each request has a connection of its own, which costs a millisecond: its settings are set, then
    `readonly = 1`, which nothing can unset. That alone would still let a statement write to or read from the
    file system (INTO OUTFILE, the function `file`), stop merges or kill queries; those are told by their
    syntax tree.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)  # chDB compares paths as text

    def answer(self, request: Request) -> Answer:
        """Blocks until the statement is done. Raises Refused with the engine's message, or ours."""
        with closing(chdb.connect(self._path)) as connection:
            try:
                return _answer(connection, request)
            except RuntimeError as error:  # what every error of the engine derives from
                message = str(error)
                code = _CODE.search(message)
                raise Refused(int(code.group(1)) if code else 1000, message) from error


def _answer(connection: Any, request: Request) -> Answer:
    connection.query("USE {database:Identifier}", "Null", params={"database": request.database})
    for name, value in request.settings.items():
        _set(connection, name, value)
    connection.query("SET readonly = 1")
    statement = _text(
        connection, "SELECT formatQuerySingleLine({query:String})", {"query": _escaped(request.query)}
    )
    tree = _text(connection, f"EXPLAIN AST {statement}", dict(request.parameters))
    unsafe = (
        set(_text(connection, "SELECT name FROM system.table_functions", {}).split()) - _SAFE_TABLE_FUNCTIONS
    )
    reason = refusal(tree, unsafe)
    if reason is not None:
        raise Refused(READONLY, f"{reason}. This port is read only. (READONLY)")
    zone = _text(connection, "SELECT timezone()", {}).strip()
    result = connection.query(statement, request.default_format, params=dict(request.parameters))
    named = _FORMAT.search(statement)
    return Answer(result.bytes() or b"", named.group(1) if named else request.default_format, zone)


def refusal(tree: str, unsafe: set[str]) -> str | None:
    """Why the statement with that syntax tree (EXPLAIN AST) must not run; None if it may.

    `unsafe` names the functions that reach beyond the tables.
    """
    kind = tree.split(maxsplit=1)[0]
    if not kind.startswith(_READING):
        return f"{kind} is not a statement that reads"
    if _OUTFILE.search(tree):
        return "INTO OUTFILE writes a file"
    called = {name.casefold() for name in _FUNCTION.findall(tree)} & {name.casefold() for name in unsafe}
    return f"The function {min(called)} reaches beyond the tables" if called else None


def _set(connection: Any, name: str, value: str) -> None:
    if not _SETTING.fullmatch(name) or _REFUSED_SETTINGS.fullmatch(name):
        raise Refused(READONLY, f"Cannot modify {name!r}. This port is read only. (READONLY)")
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    connection.query(f"SET {name} = '{quoted}'")


def _text(connection: Any, statement: str, parameters: dict[str, str]) -> str:
    answer: bytes = connection.query(f"{statement}", "TSVRaw", params=parameters).bytes() or b""
    return answer.decode()


def _escaped(text: str) -> str:
    return (
        text.replace("\\", "\\\\")
        .replace("\t", "\\t")
        .replace("\n", "\\n")
        .replace("\r", "\\r")
        .replace("\0", "\\0")
    )
