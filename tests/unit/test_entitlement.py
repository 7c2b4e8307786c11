"""Entitlements as values: status, access, periods, and what their balance is worked out from."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from meterhouse.domain.allowance import Allowance
from meterhouse.domain.duration import Duration
from meterhouse.domain.entitlement import (
    Boolean,
    Entitlement,
    Metered,
    Period,
    Static,
    Status,
    Template,
    UsagePeriod,
    template_grant,
)
from meterhouse.domain.grant import Grant
from meterhouse.domain.instant import Instant, parse
from meterhouse.domain.recurrence import Recurrence


def day(text: str) -> Instant:
    return parse(f"2026-{text}T00:00:00Z")


MONTHLY = Metered(usage_period=UsagePeriod(Duration(months=1)), issue_after_reset=Decimal(100))
ENTITLEMENT = Entitlement(
    id="ent_1",
    merchant_id="org_1",
    customer_id="cus_1",
    feature_id="feat_1",
    template=MONTHLY,
    active_from=day("01-10"),
    created_at=day("01-09"),
)


@pytest.mark.parametrize("template", [Boolean(), Static({"seats": 5}), replace(MONTHLY, is_soft_limit=True)])
def test_what_has_no_hard_limit_gives_access_while_it_is_active(template: Template) -> None:
    entitlement = replace(ENTITLEMENT, template=template, active_to=day("02-10"))
    assert entitlement.has_access(day("01-10"))
    assert entitlement.has_access(day("02-10") - 1)
    assert not entitlement.has_access(day("01-10") - 1)
    assert not entitlement.has_access(day("02-10"))


def test_a_hard_limit_gives_access_while_there_is_a_balance() -> None:
    assert ENTITLEMENT.has_access(day("01-10"), Decimal("1E-18"))
    assert not ENTITLEMENT.has_access(day("01-10"), Decimal(0))


@pytest.mark.parametrize(
    ("active_to", "canceled_at", "at", "status"),
    [
        (None, None, "12-31", Status.ACTIVE),
        (None, None, "01-01", Status.ACTIVE),
        ("02-10", None, "02-09", Status.ACTIVE),
        ("02-10", None, "02-10", Status.EXPIRED),
        (None, "02-10", "02-09", Status.ACTIVE),
        (None, "02-10", "02-10", Status.CANCELED),
        ("03-10", "02-10", "04-01", Status.CANCELED),
        ("02-10", "03-10", "04-01", Status.EXPIRED),
        ("02-10", "02-10", "02-10", Status.CANCELED),
        (None, "01-05", "01-05", Status.CANCELED),
    ],
)
def test_the_first_of_its_ends_is_its_status(
    active_to: str | None, canceled_at: str | None, at: str, status: Status
) -> None:
    entitlement = replace(
        ENTITLEMENT,
        active_to=None if active_to is None else day(active_to),
        canceled_at=None if canceled_at is None else day(canceled_at),
    )
    assert entitlement.status(day(at)) is status


@pytest.mark.parametrize(
    ("at", "start", "end"),
    [
        ("01-10", "01-10", "02-10"),
        ("02-09", "01-10", "02-10"),
        ("02-10", "02-10", "03-10"),
        ("03-31", "03-10", "04-10"),
        ("04-10", "03-10", "04-10"),
        ("12-01", "03-10", "04-10"),
    ],
)
def test_the_current_period_is_the_calendar_s_until_the_end(at: str, start: str, end: str) -> None:
    entitlement = replace(ENTITLEMENT, active_to=day("04-10"))
    assert entitlement.current_period(day(at)) == Period(day(start), day(end))


def test_an_end_within_a_period_does_not_shorten_it() -> None:
    entitlement = replace(ENTITLEMENT, active_to=day("02-20"))
    assert entitlement.current_period(day("05-01")) == Period(day("02-10"), day("03-10"))


def test_before_it_begins_its_period_is_that_of_the_subscription_so_far() -> None:
    at, begins = day("01-05"), day("01-10")
    assert ENTITLEMENT.current_period(at) == Period(None, begins)
    assert ENTITLEMENT.current_period(at, subscribed_at=day("01-01")) == Period(day("01-01"), begins)
    assert ENTITLEMENT.current_period(begins, subscribed_at=day("01-01")) == Period(begins, day("02-10"))


def test_without_a_usage_period_its_period_stays_open() -> None:
    entitlement = replace(ENTITLEMENT, template=Metered())
    assert entitlement.current_period(day("05-01")) == Period(day("01-10"), None)


def test_a_period_that_would_end_after_2199_stays_open() -> None:
    at = parse("2199-12-20T00:00:00Z")
    assert ENTITLEMENT.current_period(at) == Period(parse("2199-12-10T00:00:00Z"), None)


def test_what_ended_before_it_began_has_neither_resets_nor_balance() -> None:
    entitlement = replace(ENTITLEMENT, canceled_at=day("01-05"))
    assert entitlement.resets_by(day("05-01")) == ()
    assert entitlement.current_period(day("05-01")) == Period(day("01-10"), day("02-10"))
    assert not entitlement.has_access(day("01-10"), Decimal(1))


@pytest.mark.parametrize("at", ["01-01", "01-10", "02-09"])
def test_there_is_no_reset_up_to_the_beginning(at: str) -> None:
    assert ENTITLEMENT.resets_by(day(at)) == ()


def test_resets_come_after_the_beginning_and_before_the_end() -> None:
    entitlement = replace(ENTITLEMENT, active_to=day("04-10"))
    assert entitlement.resets_by(day("02-10")) == (day("02-10"),)
    assert entitlement.resets_by(day("12-01")) == (day("02-10"), day("03-10"))


def test_an_allowance_has_what_a_balance_is_worked_out_from() -> None:
    grant = Grant(id="grt_1", amount=Decimal(5), effective_at=0, created_at=0)
    template = replace(MONTHLY, preserve_overage_at_reset=True)
    entitlement = replace(ENTITLEMENT, template=template, canceled_at=day("04-01"))
    assert entitlement.allowance((grant,), day("02-15")) == Allowance(
        start=day("01-10"),
        end=day("04-01"),
        grants=(grant,),
        resets=(day("02-10"),),
        preserve_overage=True,
    )


def test_the_template_s_grant_recurs_with_the_usage_period_and_rolls_nothing_over() -> None:
    template = replace(
        MONTHLY, usage_period=UsagePeriod(Duration(weeks=1), day("01-01")), issue_after_reset_priority=-3
    )
    assert template_grant(replace(ENTITLEMENT, template=template), id="grt_1") == Grant(
        id="grt_1",
        amount=Decimal(100),
        priority=-3,
        effective_at=day("01-10"),
        created_at=day("01-09"),
        reset_max_rollover=Decimal(0),
        reset_min_rollover=Decimal(0),
        recurrence=Recurrence(day("01-01"), Duration(weeks=1)),
    )


def test_the_template_s_grant_rolls_over_what_the_template_says() -> None:
    template = replace(MONTHLY, reset_max_rollover=Decimal(50), reset_min_rollover=Decimal(10))
    grant = template_grant(replace(ENTITLEMENT, template=template), id="grt_1")
    assert grant is not None
    assert grant.reset_max_rollover == 50
    assert grant.reset_min_rollover == 10


@pytest.mark.parametrize(
    "template", [Boolean(), Static({}), Metered(), Metered(issue_after_reset=Decimal(0))]
)
def test_a_template_that_issues_nothing_has_no_grant(template: Template) -> None:
    assert template_grant(replace(ENTITLEMENT, template=template), id="grt_1") is None
