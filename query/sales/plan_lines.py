"""The prices that a request names for a plan: by id alone, or with the key of their line (contract 3.9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.instant import Instant
from meterhouse.domain.plan import Line, NewVersion, require_distinct

_PRICE_ID = {"type": "string", "pattern": "^price_[a-zA-Z0-9]+$", "maxLength": 255}
_KEY = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"}


class LineAsked(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    price_id: Annotated[str, Field(pattern="^price_[a-zA-Z0-9]+$", max_length=255)]
    key: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")] | None = None


def _named(value: Any) -> Any:
    return {"priceId": value} if isinstance(value, str) else value


PlanLine = Annotated[
    LineAsked,
    BeforeValidator(_named),
    WithJsonSchema(
        {
            "anyOf": [
                _PRICE_ID,
                {
                    "type": "object",
                    "required": ["priceId"],
                    "properties": {"priceId": _PRICE_ID, "key": _KEY},
                },
            ],
            "description": "A price, and the key that names its line; one is made up where there is none.",
        }
    ),
]
PlanLines = Annotated[list[PlanLine], Field(max_length=200)]


def version_of(asked: Sequence[LineAsked], at: Instant, based_on: str | None = None) -> NewVersion:
    """The version that is asked for. Raises Invalid where a price or a key comes twice."""
    lines = [Line(price_id=one.price_id, key=one.key, spare_key=new_id("line").lower()) for one in asked]
    require_distinct(lines)
    return NewVersion(id=new_id("pver"), lines=tuple(lines), based_on=based_on, published_at=at)
