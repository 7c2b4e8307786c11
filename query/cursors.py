"""Cursors: where a page ended, as a text that only we can read (docs/queries.md)."""

from __future__ import annotations

import base64
from typing import Annotated, TypeVar

import msgspec
from pydantic import Field

from meterhouse.domain.errors import Invalid

T = TypeVar("T")

Cursor = Annotated[
    str,
    Field(max_length=50_000, pattern="^[A-Za-z0-9_-]*$", description="`nextCursor` of the answer before."),
]


def write_cursor(place: object) -> str:
    """URL-safe text for `place`, anything that msgspec can write."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_cursor(text: str, kind: type[T]) -> T:
    """The place that `text` was written from. Raises Invalid for what is no cursor of this kind."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        return msgspec.json.decode(raw, type=kind)
    except ValueError as error:
        raise no_cursor() from error


def no_cursor() -> Invalid:
    """What is refused as a cursor that no answer ever gave."""
    return Invalid.field("cursor", "is none; send the nextCursor of an answer as it came")
