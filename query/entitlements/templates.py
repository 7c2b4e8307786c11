"""What an entitlement template has to be when it says its type (contract 3.4 and 4.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, ValidationError
from pydantic.alias_generators import to_camel

from meterhouse.domain.duration import Duration as PeriodLength
from meterhouse.domain.errors import Invalid, Problem
from meterhouse.domain.grant import UNLIMITED
from query.documents import Document
from query.failures import problem_of
from query.fields import Duration, Number, Timestamp

_CAMEL = ConfigDict(alias_generator=to_camel)


def _lasting(text: str) -> str:
    PeriodLength.parse(text)
    return text


Interval = Annotated[Duration, AfterValidator(_lasting)]
Amount = Annotated[Number, Field(ge=0, lt=10**20, decimal_places=18)]  # what a value can be, in any store
Rollover = Annotated[Number, Field(ge=0, le=UNLIMITED, decimal_places=18)]
Priority = Annotated[int, Field(strict=True, ge=-32_768, le=32_767)]


class UsagePeriod(BaseModel):
    model_config = _CAMEL

    interval: Interval
    anchor: Timestamp | None = None


class MeteredTemplate(BaseModel):
    model_config = _CAMEL

    type: Literal["metered"]
    usage_period: UsagePeriod | None = None
    is_soft_limit: StrictBool | None = None
    issue_after_reset: Amount | None = None
    issue_after_reset_priority: Priority | None = None
    preserve_overage_at_reset: StrictBool | None = None
    reset_max_rollover: Rollover | None = None
    reset_min_rollover: Rollover | None = None


class StaticTemplate(BaseModel):
    model_config = _CAMEL

    type: Literal["static"]
    config: Document


class BooleanTemplate(BaseModel):
    type: Literal["boolean"]


_KINDS: Final[Mapping[object, type[BaseModel]]] = {
    "metered": MeteredTemplate,
    "static": StaticTemplate,
    "boolean": BooleanTemplate,
}


def require_template(template: Mapping[str, object], within: str) -> None:
    """Raises Invalid for a template that is not what its type says; one of no type may be anything.

    `within` is where in the request it is, such as "feature.entitlementTemplate.".
    """
    kind = template.get("type")
    model = _KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return
    try:
        model.model_validate(template)
    except ValidationError as error:
        found = [problem_of({**one, "loc": ("body", *one["loc"])}) for one in error.errors()]
        problems = tuple([Problem(within + one.field, one.message, one.code) for one in found])
        message = "; ".join([f"{one.field}: {one.message}" for one in problems])
        raise Invalid(message, problems) from error
