"""Test clocks (contract 3.8): make them, advance them, delete them."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.duration import Duration
from meterhouse.domain.errors import Invalid
from meterhouse.domain.instant import Instant, render
from meterhouse.domain.test_clock import TestClock
from query.answers import blocked, failures
from query.backend import Merchant, Ports
from query.fields import Line, MerchantId, PageLimit, PageOffset, Prose, Timestamp, checked_id
from query.route import new_router
from query.sales.products import own_merchant
from query.wire import ListBody, Moment, Wire, moment, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_LETTERS: Final = 16  # of an id, after its prefix (contract 1.4)


def _duration(value: object) -> Duration:
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 duration as text, such as P1M")
    return Duration.parse(value)


Advance = Annotated[
    Duration,
    BeforeValidator(_duration),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^P([0-9]{1,9}[YMWD])*(T([0-9]{1,9}[HMS])+)?$",
            "description": "An ISO 8601 duration longer than zero; years and months follow the calendar.",
            "examples": ["P1M", "PT12H"],
        }
    ),
]


class NewTestClock(BaseModel):
    """It stands at `currentTime`, which may lie in the past, until it is advanced; now, unless given."""

    model_config = _CAMEL

    current_time: Timestamp | None = None
    name: Line | None = None
    description: Prose | None = None
    merchant_id: MerchantId | None = None


class AdvanceAsked(BaseModel):
    """Either `currentTime` or `advanceBy`: forward, and at most 10 years at once."""

    model_config = _CAMEL

    current_time: Timestamp | None = None
    advance_by: Advance | None = None


class TestClocksAsked(BaseModel):
    model_config = _CAMEL

    merchant_id: MerchantId | None = None
    limit: PageLimit = 10
    offset: PageOffset = 0


class TestClockBody(Wire):
    id: str
    merchant_id: str
    name: str | None
    description: str | None
    current_time: Moment
    created_at: Moment
    updated_at: Moment
    deleted_at: Moment | None

    @classmethod
    def of(cls, clock: TestClock) -> TestClockBody:
        return cls(
            id=clock.id,
            merchant_id=clock.merchant_id,
            name=clock.name,
            description=clock.description,
            current_time=render(clock.stands_at),
            created_at=render(clock.created_at),
            updated_at=render(clock.updated_at),
            deleted_at=moment(clock.deleted_at),
        )


@router.post(
    "/v0/testClocks",
    status_code=201,
    operation_id="createTestClock",
    responses=failures(400, 403, 413, 415),
)
async def create(body: NewTestClock, merchant: Merchant, ports: Ports) -> TestClockBody:
    """Create a clock for subscriptions to be tested with: what belongs to them sees its time as now."""
    own_merchant(body.merchant_id, merchant)
    now = ports.clock.now()
    clock = TestClock(
        id=new_id("tc", _LETTERS),
        merchant_id=merchant,
        name=body.name,
        description=body.description,
        stands_at=now if body.current_time is None else body.current_time,
        created_at=now,
        updated_at=now,
    )
    return TestClockBody.of(await ports.subscribed.test_clocks.create(clock))


@router.get("/v0/testClocks", operation_id="listTestClocks", responses=failures(400, 403))
async def page(
    asked: Annotated[TestClocksAsked, Query()], merchant: Merchant, ports: Ports
) -> ListBody[TestClockBody]:
    """List the test clocks that are not deleted, oldest first."""
    own_merchant(asked.merchant_id, merchant)
    found = await ports.subscribed.test_clocks.page(merchant, asked.limit, asked.offset)
    data = [TestClockBody.of(clock) for clock in found.items]
    return ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset))


@router.get("/v0/testClocks/{id}", operation_id="getTestClock", responses=failures(404))
async def get(id: str, merchant: Merchant, ports: Ports) -> TestClockBody:
    """Get a test clock, also a deleted one."""
    return TestClockBody.of(await ports.subscribed.test_clocks.get(merchant, _checked(id)))


@router.patch("/v0/testClocks/{id}", operation_id="advanceTestClock", responses=failures(400, 404, 413, 415))
async def advance(id: str, body: AdvanceAsked, merchant: Merchant, ports: Ports) -> TestClockBody:
    """Move a test clock forward."""
    change = partial(decide_advance, asked=body, at=ports.clock.now())
    return TestClockBody.of(await ports.subscribed.test_clocks.update(merchant, _checked(id), change))


def decide_advance(clock: TestClock, asked: AdvanceAsked, at: Instant) -> TestClock:
    """The clock as it is asked to stand. Raises Invalid where it cannot."""
    match asked.current_time, asked.advance_by:
        case int(instant), None:
            return clock.advance_to(instant, at=at)
        case None, Duration() as duration:
            return clock.advance_by(duration, at=at)
    raise Invalid.field("currentTime", "give exactly one of currentTime and advanceBy", "required")


@router.delete(
    "/v0/testClocks/{id}", operation_id="deleteTestClock", responses={**failures(404), **blocked()}
)
async def delete(id: str, merchant: Merchant, ports: Ports) -> TestClockBody:
    """Delete a test clock that no subscription runs on any more. It can still be read by its id."""
    return TestClockBody.of(
        await ports.subscribed.test_clocks.delete(merchant, _checked(id), ports.clock.now())
    )


def _checked(id: str) -> str:
    return checked_id(id, "tc", "test clock")
