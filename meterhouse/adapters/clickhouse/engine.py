"""Statements that came over HTTP, on the chDB engine of this process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import chdb
from clickhouse_connect.driver.binding import format_str

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CODE: Final = re.compile(r"Code: (\d+)\.")

READONLY: Final = 164  # what a read-only user must not do
_UNKNOWN_SETTING: Final = 115
_UNKNOWN: Final = 1002  # what ClickHouse calls an error without a number


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
    """The rows in `format`, and the zone in which times without one are to be read.

    `format` is None for a statement that has no rows to answer with, such as an INSERT.
    """

    body: bytes
    format: str | None
    timezone: str


@contextmanager
def session(path: str, request: Request) -> Iterator[Any]:
    """Yield a connection of its own to the engine at `path`, with the request's database and settings.

    It costs a millisecond, and nothing of one request stays for the next. Raises Refused with the engine's
    message for whatever fails in it.
    """
    # chDB compares paths as text
    with closing(chdb.connect(os.path.realpath(path))) as connection:
        try:
            connection.query("USE {database:Identifier}", "Null", params={"database": request.database})
            if request.settings:
                pairs = [f"{_named(name)} = {format_str(value)}" for name, value in request.settings.items()]
                connection.query(f"SET {', '.join(pairs)}", "Null")
            yield connection
        except RuntimeError as error:  # what every error of the engine derives from
            message = str(error)
            code = _CODE.search(message)
            raise Refused(int(code.group(1)) if code else _UNKNOWN, message) from error


def text(connection: Any, statement: str, parameters: Mapping[str, str]) -> str:
    """The answer as plain text, TSVRaw."""
    answer: bytes = connection.query(statement, "TSVRaw", params=dict(parameters)).bytes() or b""
    return answer.decode()


def _named(setting: str) -> str:
    if not _NAME.fullmatch(setting):
        raise Refused(_UNKNOWN_SETTING, f"Unknown setting {setting!r}. (UNKNOWN_SETTING)")
    return setting
