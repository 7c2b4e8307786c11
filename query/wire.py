"""What answers look like (contract, section 9): one shape that every published client accepts.

What all answers have in common is here, what one part of the service answers in a `wire` of its own.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

from meterhouse.domain.instant import Instant, render
from meterhouse.ports.catalog import Page

T = TypeVar("T")

Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Number = Annotated[
    Decimal, WithJsonSchema({"type": "number", "description": "Exact: every digit is written out."})
]


class Wire(BaseModel):
    """Names are camelCase on the wire; nothing undeclared is sent."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Pagination(Wire):
    limit: int
    offset: int
    total: int


class ListBody(Wire, Generic[T]):
    object: Literal["list"] = "list"
    data: list[T]
    pagination: Pagination


def moment(instant: Instant | None) -> str | None:
    """RFC 3339, or null."""
    return None if instant is None else render(instant)


def pagination(page: Page[Any], limit: int, offset: int) -> Pagination:
    return Pagination(limit=limit, offset=offset, total=page.total)


Digits = Annotated[
    str,
    WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "description": "Exact, as text."}),
]


class ErrorBody(BaseModel):
    """Every failure but a 400."""

    error: str
    message: str


class BlockerBody(BaseModel):
    """How many objects of a type stand in the way, and some of them."""

    type: str
    count: int
    items: list[dict[str, str | int]]


class BlockersBody(BaseModel):
    blockers: list[BlockerBody]


class BlockedBody(ErrorBody):
    details: BlockersBody


class FieldProblem(BaseModel):
    field: str
    message: str
    code: str


class ValidationErrorBody(BaseModel):
    """A 400: every field that is wrong, and why."""

    error: Literal["validation_error"]
    message: str
    errors: list[FieldProblem]
