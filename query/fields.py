"""The kinds of fields that requests are made of, with what OpenAPI says of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from meterhouse.domain.errors import NotFound
from meterhouse.domain.instant import Instant, parse
from meterhouse.domain.matching import plain
from meterhouse.domain.position import Position, parse_positions

MAX_OFFSET: Final = 1_000_000_000
MAX_IN_URL: Final = 5_000  # characters of one parameter: percent-encoded, twelve times that has to arrive


@dataclass(frozen=True, slots=True)
class Between:
    """A whole number from `low` to `high`; the refusal names both (contract, decision 13)."""

    low: int
    high: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Callable[..., Any]) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def check(self, number: int) -> int:
        if not self.low <= number <= self.high:
            raise ValueError(f"must be from {self.low} to {self.high}")
        return number


def _instant(value: object) -> Instant:
    if not isinstance(value, str):
        raise ValueError("must be an RFC 3339 timestamp as text")
    return parse(value)


def _positions(value: object) -> tuple[Position, ...]:
    # FastAPI hands a parameter of a sequence type over as the list of its occurrences.
    texts = value if isinstance(value, list) else [value]
    return parse_positions(",".join(str(text) for text in texts))


def _name(name: str) -> str:
    if name != name.strip() or "," in name:
        raise ValueError("a dimension's name has no comma and no space around it, as groupBy lists names")
    if name == "subject":
        raise ValueError("subject is every billable metric's own dimension; choose another name")
    return name


def _number(value: object) -> object:
    # Text would be read as well, and a float is not what was sent.
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("must be a number")
    return value


def _plain(number: Decimal) -> Decimal:
    return Decimal(plain(number))  # 1E2 is a number too, but no way to write a hundred


def _rates(value: object) -> object:
    return value if isinstance(value, dict) else {"default": value}


def _duration(text: str) -> str:
    if not _DURATION.fullmatch(text):
        raise ValueError("must be an ISO 8601 duration of years, months, weeks and days, such as P1M")
    return text


def _decimal(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(_DECIMAL, value, re.ASCII):
        raise ValueError("must be a decimal number as text, such as 0.05")
    return Decimal(value)


_DURATION: Final = re.compile(r"P(?=[0-9])([0-9]{1,4}Y)?([0-9]{1,4}M)?([0-9]{1,4}W)?([0-9]{1,4}D)?", re.ASCII)
_DECIMAL: Final = r"-?[0-9]{1,65}(\.[0-9]{1,18})?"
_NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
_NO_NUL: Final = r"^[^\x00]*$"
_POSITIONS: Final = r"^[0-9]{1,9}:[0-9]{1,18}(,[0-9]{1,9}:[0-9]{1,18})*$"
_EMAIL: Final = r"^[^\x00-\x20\x7f-\x9f@]+@[^\x00-\x20\x7f-\x9f@]+$"
_PATH: Final = r"^\$\.[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)*$"

_TAX_RATE: Final = {
    "type": "number",
    "minimum": 0,
    "maximum": 100,
    "description": "A percentage with up to 18 decimal places.",
}
_TAX_RATES: Final = {
    "type": "object",
    "description": 'Tax rates by plan, billable metric or "default".',
    "maxProperties": 100,
    "propertyNames": {"minLength": 1, "maxLength": 255, "pattern": _NO_CONTROLS},
    "additionalProperties": _TAX_RATE,
    "examples": [{"default": 13}],
}

Timestamp = Annotated[
    int,
    BeforeValidator(_instant),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339, from 1970 to 2199; without an offset it is UTC.",
            "examples": ["2026-05-01T12:30:15.123456Z"],
        }
    ),
]
After = Annotated[
    tuple[Position, ...],
    BeforeValidator(_positions),
    WithJsonSchema(
        {
            "type": "string",
            "description": (
                "Answer only once the log is counted up to these positions: `partition:offset`, several"
                " separated by commas, as the `Meterhouse-Position` of an ingest answer. Also as the header"
                " `Meterhouse-After`."
            ),
            "pattern": _POSITIONS,
        }
    ),
]
AfterText = Annotated[
    str,
    WithJsonSchema(
        {"type": "string", "description": "The same as the parameter `after`.", "pattern": _POSITIONS}
    ),
]

MerchantId = Annotated[str, Field(pattern="^org_[a-zA-Z0-9]+$", max_length=255)]
ProductId = Annotated[str, Field(pattern="^prod_[a-zA-Z0-9]+$", max_length=255)]
ItemId = Annotated[str, Field(pattern="^itm_[a-zA-Z0-9]+$", max_length=255)]

FeatureKey = Annotated[
    str,
    Field(
        pattern="^[a-z0-9]+(?:[-_][a-z0-9]+)*$",
        max_length=255,
        description="Small letters and digits, in words that single hyphens or underscores join.",
    ),
]

BillableMetricId = Annotated[str, Field(pattern="^bm_[a-zA-Z0-9]+$", max_length=255)]
FeatureId = Annotated[str, Field(pattern="^feat_[a-zA-Z0-9]+$", max_length=255)]
FeeId = Annotated[str, Field(pattern="^fee_[a-zA-Z0-9]+$", max_length=255)]
CostId = Annotated[str, Field(pattern="^cst_[a-zA-Z0-9]+$", max_length=255)]
PricingUnitId = Annotated[str, Field(pattern="^pu_[a-zA-Z0-9]+$", max_length=255)]

CustomerId = Annotated[str, Field(pattern="^cus_[a-zA-Z0-9]+$", max_length=255)]
SubscriptionId = Annotated[str, Field(pattern="^sub_[a-zA-Z0-9]+$", max_length=255)]
ConsumerId = Annotated[str, Field(pattern="^org_[a-zA-Z0-9]+$", max_length=255)]

Line = Annotated[str, Field(pattern=_NO_CONTROLS, min_length=1, max_length=255)]
Part = Annotated[str, Field(pattern=_NO_CONTROLS, min_length=3, max_length=255)]
MaybeLine = Annotated[str, Field(pattern=_NO_CONTROLS, max_length=255)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$", description="ISO 4217.", examples=["USD"])]
Email = Annotated[str, Field(pattern=_EMAIL, max_length=255)]
Country = Annotated[str, Field(pattern="^[a-zA-Z]{2}$", description="Two letters (ISO 3166-1 alpha-2).")]
Prose = Annotated[str, Field(pattern=_NO_NUL, max_length=10_000)]
ValuePath = Annotated[str, Field(pattern=_PATH, max_length=1_000)]
DimensionName = Annotated[
    str, Field(pattern=_NO_CONTROLS, min_length=1, max_length=255), AfterValidator(_name)
]
Dimensions = Annotated[
    dict[DimensionName, ValuePath],
    Field(max_length=20),
    WithJsonSchema(
        {
            "type": "object",
            "description": "Dimensions: a name for each path into `data`.",
            "maxProperties": 20,
            "propertyNames": {
                "minLength": 1,
                "maxLength": 255,
                "pattern": r"^[^\x00-\x1f\x7f-\x9f,\s]([^\x00-\x1f\x7f-\x9f,]*[^\x00-\x1f\x7f-\x9f,\s])?$",
                "not": {"const": "subject"},
            },
            "additionalProperties": {"type": "string", "pattern": _PATH, "maxLength": 1_000},
            "examples": [{"model": "$.model"}],
        }
    ),
]
Metadata = Annotated[
    dict[Line, Prose],
    Field(max_length=50),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": 50,
            "propertyNames": {"minLength": 1, "maxLength": 255, "pattern": _NO_CONTROLS},
            "additionalProperties": {"type": "string", "pattern": _NO_NUL, "maxLength": 10_000},
        }
    ),
]

TaxRate = Annotated[
    Decimal,
    BeforeValidator(_number),
    Field(ge=0, le=100, decimal_places=18),
    AfterValidator(_plain),
    WithJsonSchema(_TAX_RATE),
]
TaxRates = Annotated[dict[Line, TaxRate], Field(max_length=100), WithJsonSchema(_TAX_RATES)]
TaxRatesOrOne = Annotated[
    dict[Line, TaxRate],
    BeforeValidator(_rates),
    Field(max_length=100),
    WithJsonSchema({"anyOf": [_TAX_RATE, _TAX_RATES]}),
]

Duration = Annotated[
    str,
    Field(max_length=50),
    AfterValidator(_duration),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^P([0-9]{1,4}[YMWD])+$",
            "description": "An ISO 8601 duration of years, months, weeks and days, in this order.",
            "examples": ["P1M"],
        }
    ),
]
# A number of which nothing is rounded, but for text or a float: 1.50 stays 1.50.
Number = Annotated[Decimal, BeforeValidator(_number)]
DecimalText = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{_DECIMAL}$", "description": "A decimal number as text."}
    ),
]

# Values of one parameter that is repeated; all of them together still fit into a URL.
Repeated = Annotated[list[Annotated[str, Field(max_length=1_000)]], Field(max_length=50)]

PageLimit = Annotated[int, Between(1, 100)]
PageOffset = Annotated[int, Between(0, MAX_OFFSET)]


# Of questions that are ours alone, since a misspelt filter would be answered with everything. Those of the
# contract ignore what they do not know: clients send what other versions of it know.
KNOWN_ONLY: Final = ConfigDict(alias_generator=to_camel, extra="forbid")


class PageAsked(BaseModel):
    """A page of everything there is."""

    model_config = ConfigDict(alias_generator=to_camel)

    limit: PageLimit = 10
    offset: PageOffset = 0


def checked_id(id: str, prefix: str, what: str) -> str:
    """`id` if it can be one at all; NotFound otherwise, so that no store is asked for nonsense."""
    head, _, rest = id.partition("_")
    if head != prefix or not (rest.isascii() and rest.isalnum()) or len(id) > 255:
        raise NotFound(f"there is no such {what}")
    return id
