"""What may be asked of usage, and what is refused before a store is asked (docs/queries.md)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from fastapi.exceptions import RequestValidationError
from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from meterhouse.domain.calendar import windows_in
from meterhouse.domain.condition import SUBJECT, AllOf, AnyOf, Condition, Not, Prefix, one_of
from meterhouse.domain.errors import Invalid
from meterhouse.domain.instant import DAY, HOUR, MINUTE, Instant, render, to_datetime
from meterhouse.domain.window import Window, WindowSize
from query.cursors import Cursor
from query.fields import KNOWN_ONLY, MAX_IN_URL, After, Between, Repeated, Timestamp

MAX_GROUPS_SHOWN = 1_000
MAX_NAMES = 20
MAX_TEXTS = 1_000
MAX_DEPTH = 10


def _zone(value: object) -> ZoneInfo:
    if isinstance(value, ZoneInfo):
        return value
    if not isinstance(value, str) or value not in available_timezones():
        raise ValueError("is not an IANA time zone such as Europe/Berlin")
    return ZoneInfo(value)


TimeZone = Annotated[
    ZoneInfo,
    BeforeValidator(_zone),
    WithJsonSchema(
        {
            "type": "string",
            "description": "An IANA time zone, whose calendar windows and days go by.",
            "examples": ["Europe/Berlin"],
            "default": "UTC",
        }
    ),
]
Name = Annotated[str, Field(min_length=1, max_length=255)]
Text = Annotated[str, Field(max_length=10_000)]
Texts = Annotated[list[Text], Field(max_length=MAX_TEXTS)]


class Match(BaseModel):
    """One condition on a dimension, or on `subject`; a dimension that an event does not have is ""."""

    model_config = KNOWN_ONLY

    dimension: Name
    eq: Text | None = None
    ne: Text | None = None
    in_: Annotated[Texts | None, Field(alias="in")] = None
    not_in: Texts | None = None
    exists: bool | None = None
    prefix: Text | None = None

    @model_validator(mode="after")
    def _one_operator(self) -> Self:
        if len(self.model_fields_set) != 2:
            raise ValueError("needs exactly one of eq, ne, in, notIn, exists, prefix beside dimension")
        return self

    def condition(self) -> Condition:
        name = self.dimension
        if self.eq is not None:
            return one_of(name, self.eq)
        if self.ne is not None:
            return Not(one_of(name, self.ne))
        if self.in_ is not None:
            return one_of(name, *self.in_)
        if self.not_in is not None:
            return Not(one_of(name, *self.not_in))
        if self.prefix is not None:
            return Prefix(name, self.prefix)
        if self.exists is not None:
            return Not(one_of(name, "")) if self.exists else one_of(name, "")
        raise Invalid.field("filter", "must not be null")


class All(BaseModel):
    """Every one of these."""

    model_config = KNOWN_ONLY

    and_: Annotated[list[Filter], Field(alias="and", min_length=1, max_length=MAX_TEXTS)]

    def condition(self) -> Condition:
        return AllOf(tuple([one.condition() for one in self.and_]))


class Any(BaseModel):
    """At least one of these."""

    model_config = KNOWN_ONLY

    or_: Annotated[list[Filter], Field(alias="or", min_length=1, max_length=MAX_TEXTS)]

    def condition(self) -> Condition:
        return AnyOf(tuple([one.condition() for one in self.or_]))


def _kind(value: object) -> str:
    names = (
        value.keys()
        if isinstance(value, dict)
        else value.__class__.model_fields
        if isinstance(value, BaseModel)
        else ()
    )
    return "[and]" if {"and", "and_"} & set(names) else "[or]" if {"or", "or_"} & set(names) else "[match]"


Filter = Annotated[
    Annotated[Match, Tag("[match]")] | Annotated[All, Tag("[and]")] | Annotated[Any, Tag("[or]")],
    Discriminator(_kind),
]
All.model_rebuild()
Any.model_rebuild()


class OrderBy(StrEnum):
    """How groups follow each other; equal values by their texts."""

    LARGEST = "-value"
    SMALLEST = "value"
    FIRST = "group"
    LAST = "-group"


class UsageAsked(BaseModel):
    """One question about the usage of one billable metric."""

    model_config = KNOWN_ONLY

    from_: Timestamp = Field(alias="from", description="Included.")
    to: Timestamp = Field(description="Not included.")
    time_zone: TimeZone = ZoneInfo("UTC")
    window_size: WindowSize | None = Field(None, description="Also by calendar window of the time zone.")
    subject: Texts = Field([], description="Usage of these subjects only.")
    filter: Filter | None = Field(None, description="Only events of which this is true count.")
    group_by: Annotated[list[Name], Field(max_length=MAX_NAMES)] = Field(
        [], description="Also by these dimensions, or `subject`."
    )
    order_by: OrderBy = OrderBy.LARGEST
    limit: Annotated[int, Between(1, MAX_GROUPS_SHOWN)] = Field(100, description="Groups of one answer.")
    cursor: str | None = Field(None, description="`nextCursor` of the answer before.")
    top: Annotated[int, Between(1, MAX_GROUPS_SHOWN)] | None = Field(
        None, description="Only so many groups, and `other` for all the rest."
    )
    compare: Literal["previous"] | None = Field(
        None,
        description=(
            "Also the period before: as many whole months, or days, of the time zone, where the period is"
            " made of them; else as long."
        ),
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.group_by:
            for name in ("order_by", "limit", "cursor", "top"):
                if name in self.model_fields_set:
                    raise Invalid.field(to_camel(name), "needs groupBy")
        if self.top is not None and self.model_fields_set & {"limit", "cursor"}:
            raise Invalid.field("top", "shows all that it is asked for; leave limit and cursor out")
        if len(set(self.group_by)) < len(self.group_by):
            raise Invalid.field("groupBy", "names a dimension twice")
        if self.from_ > self.to:
            raise Invalid.field("from", "must not be after to")
        return self

    @property
    def period(self) -> Window:
        return Window(self.from_, self.to)

    def condition(self) -> Condition:
        """Of `subject` and `filter` together. Raises Invalid for one that is nested too deeply."""
        found: list[Condition] = []
        if self.subject:
            found.append(one_of(SUBJECT, *self.subject))
        if self.filter is not None:
            found.append(self.filter.condition())
        condition = AllOf(tuple(found))
        if _depth(condition) > MAX_DEPTH:
            raise Invalid.field("filter", f"is nested deeper than {MAX_DEPTH} levels", "too_large")
        return condition

    def local_windows(self, largest: int) -> tuple[Window, ...]:
        """See windows_of_zone."""
        return windows_of_zone(self.window_size, self.time_zone, self.period, largest)


class UsageParameters(BaseModel):
    """The same as the parameters of a URL: names by commas, the filter as JSON."""

    model_config = KNOWN_ONLY

    from_: str = Field(alias="from", description="Included: RFC 3339; without an offset it is UTC.")
    to: str = Field(description="Not included.")
    time_zone: str = Field("UTC", description="An IANA time zone, whose calendar windows and days go by.")
    window_size: WindowSize | None = Field(None, description="Also by calendar window of the time zone.")
    subject: Repeated = Field([], description="Usage of this subject only; several by repeating it.")
    filter: str | None = Field(
        None,
        max_length=MAX_IN_URL,
        description="JSON, as in the body of the POST: only events of which it is true count.",
        examples=['{"dimension":"model","in":["gpt-4o","o3"]}'],
    )
    group_by: str | None = Field(
        None,
        max_length=MAX_IN_URL,
        description="Also by these dimensions, or `subject`, separated by commas.",
    )
    order_by: OrderBy | None = Field(None, description="`-value` where nothing is said.")
    limit: Annotated[int, Between(1, MAX_GROUPS_SHOWN)] | None = Field(
        None, description="Groups of one answer; 100 where nothing is said."
    )
    cursor: Cursor | None = None
    top: Annotated[int, Between(1, MAX_GROUPS_SHOWN)] | None = Field(
        None, description="Only so many groups, and `other` for all the rest."
    )
    compare: Literal["previous"] | None = Field(None, description="Also the period before.")
    after: After = ()

    def asked(self) -> UsageAsked:
        """The question. Raises RequestValidationError and Invalid, like a body that is wrong."""
        fields: dict[str, object] = self.model_dump(by_alias=True, exclude_none=True, exclude={"after"})
        if not self.subject:
            del fields["subject"]
        if self.group_by is not None:
            fields["groupBy"] = [name.strip() for name in self.group_by.split(",")]
        if self.filter is not None:
            try:
                fields["filter"] = msgspec.json.decode(self.filter)
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
                raise Invalid.field("filter", "is not valid JSON") from error
        try:
            return UsageAsked.model_validate(fields)
        except ValidationError as error:
            found = [{**one, "loc": ("query", *one["loc"])} for one in error.errors()]
            raise RequestValidationError(found) from error


_SHORTEST = {
    WindowSize.MINUTE: MINUTE,
    WindowSize.HOUR: HOUR,
    WindowSize.DAY: DAY,
    WindowSize.WEEK: 7 * DAY,
    WindowSize.MONTH: 28 * DAY,
    WindowSize.YEAR: 365 * DAY,
}


def windows_of_zone(
    size: WindowSize | None, zone: ZoneInfo, period: Window, largest: int
) -> tuple[Window, ...]:
    """The zone's windows, where they are not UTC's. Raises Invalid for more than `largest`."""
    if size is None:
        return ()
    number = (period.end - period.start) // _SHORTEST[size]
    if number > largest:
        message = f"gives about {number} windows, over {largest}; ask for longer ones or a shorter period"
        raise Invalid.field("windowSize", message, "too_large")
    return () if zone.key == "UTC" else windows_in(size, zone, period)


def moment(zone: ZoneInfo, at: Instant) -> str:
    """RFC 3339 by the clocks of `zone`."""
    return render(at) if zone.key == "UTC" else to_datetime(at).astimezone(zone).isoformat()


def _depth(condition: Condition) -> int:
    match condition:
        case Not(inner):
            return _depth(inner)
        case AllOf(conditions) | AnyOf(conditions):
            return 1 + _deepest(conditions)
        case _:
            return 0


def _deepest(conditions: Iterable[Condition]) -> int:
    return max(map(_depth, conditions), default=0)
