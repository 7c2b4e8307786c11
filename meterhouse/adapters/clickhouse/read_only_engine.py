"""Statements of strangers on the embedded engine, which may read tables and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from meterhouse.adapters.clickhouse.engine import READONLY, Answer, Refused, Request, session, text

MAX_RESULT: Final = 256 << 20  # bytes, unless a request says otherwise: an answer is in memory as a whole

_READING: Final = ("Select", "Show", "Describe", "Exists", "Explain")
_SAFE_TABLE_FUNCTIONS: Final = frozenset(
    {
        "format", "generateRandom", "generateSeries", "generate_series", "merge", "null", "numbers",
        "numbers_mt", "values", "view", "zeros", "zeros_mt",
    }
)  # fmt: skip

# `dialect` would run another statement than the one that was looked at, and so would what adds expressions or
# tables to it; a template is a file.
_REFUSED_SETTINGS: Final = re.compile(
    r"readonly|allow_ddl|dialect|additional_.*|implicit_.*|parallel_replicas_custom_key.*"
    r"|format_schema.*|format_template_.*"
)
_FORMAT: Final = re.compile(r"\bFORMAT (\w+)$")
_FUNCTION: Final = re.compile(r"^ *Function (\S+)", re.MULTILINE)
_OUTFILE: Final = re.compile(r"^ Literal ", re.MULTILINE)


class ReadOnlyEngine:
    """The chDB engine of this process at `path`, for reading.

    Each request has a session of its own: its settings are set, then `readonly = 1`, which nothing can
    unset. That alone would still let a statement write to or read from the file system (INTO OUTFILE, the
    function `file`), stop merges or kill queries; those are told by their syntax tree.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def answer(self, request: Request) -> Answer:
        """Blocks until the statement is done. Raises Refused with the engine's message, or ours."""
        for name in request.settings:
            if _REFUSED_SETTINGS.fullmatch(name):
                raise Refused(READONLY, f"Cannot modify {name!r}. This port is read only. (READONLY)")
        # A setting such as `limit` would cut short what the look itself is told.
        with session(self._path, replace(request, settings={"readonly": "1"})) as connection:
            statement = _looked_at(connection, request)
            zone = text(connection, "SELECT timezone()", {}).strip()
        # readonly comes last, because nothing can be set after it
        settings = {"max_result_bytes": str(MAX_RESULT), **request.settings, "readonly": "1"}
        with session(self._path, replace(request, settings=settings)) as connection:
            result = connection.query(statement, request.default_format, params=dict(request.parameters))
        named = _FORMAT.search(statement)
        return Answer(
            result.bytes() or b"",
            named.group(1) if named else request.default_format,
            request.settings.get("session_timezone") or zone,
        )


def _looked_at(connection: Any, request: Request) -> str:
    """The statement in one line, once it is seen to read tables and nothing else."""
    statement = text(
        connection, "SELECT formatQuerySingleLine({query:String})", {"query": _escaped(request.query)}
    ).removesuffix("\n")
    tree = text(connection, f"EXPLAIN AST {statement}", request.parameters)
    unsafe = (
        set(text(connection, "SELECT name FROM system.table_functions", {}).split()) - _SAFE_TABLE_FUNCTIONS
    )
    reason = refusal(tree, unsafe)
    if reason is not None:
        raise Refused(READONLY, f"{reason}. This port is read only. (READONLY)")
    return statement


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


def _escaped(text: str) -> str:
    return (
        text.replace("\\", "\\\\")
        .replace("\t", "\\t")
        .replace("\n", "\\n")
        .replace("\r", "\\r")
        .replace("\0", "\\0")
    )
