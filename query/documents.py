"""JSON objects that are kept as they came."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, WithJsonSchema

_MAX_DEPTH: Final = 20
_MAX_DIGITS: Final = 400


def _checked(document: dict[str, Any]) -> dict[str, Any]:
    _check(document, _MAX_DEPTH)
    return document


def _check(value: object, depth: int) -> None:
    """Raises ValueError for what JSON cannot say, or not to everyone, and for what is nested too deep."""
    match value:
        case dict() | list():
            if not depth:
                raise ValueError(f"must not be nested deeper than {_MAX_DEPTH} levels")
            inside = (*value, *value.values()) if isinstance(value, dict) else value
            for one in inside:
                _check(one, depth - 1)
        case str():
            if not value.isascii():
                value.encode()  # a lone surrogate is no text
        case float():
            raise ValueError("must not hold NaN or Infinity")
        case Decimal():
            if not value.is_finite() or abs(value.adjusted()) > _MAX_DIGITS:
                raise ValueError(f"must not hold numbers of more than {_MAX_DIGITS} digits")


Document = Annotated[
    dict[str, Any],
    Field(max_length=100),
    AfterValidator(_checked),
    WithJsonSchema({"type": "object", "maxProperties": 100, "description": "Any JSON, kept as it came."}),
]
