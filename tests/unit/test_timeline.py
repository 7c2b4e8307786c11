"""What charges a subscription over time, and how far that is billed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

import pytest

from meterhouse.domain.errors import Conflict
from meterhouse.domain.instant import DAY, Instant, parse
from meterhouse.domain.interval_change import differences
from meterhouse.domain.interval_rules import require_sound
from meterhouse.domain.plan import PlanVersion, VersionLine
from meterhouse.domain.price import (
    DynamicRate,
    PaymentTerm,
    PercentageRate,
    Price,
    Rate,
    RateType,
    StandardRate,
    Tax,
    Tier,
    VolumeRate,
)
from meterhouse.domain.price_interval import Charge, PriceInterval, QuantityStep, Span, WrittenInterval
from meterhouse.domain.subscription import ElapsedBilling, Subscription, Terms
from meterhouse.domain.timeline import Closure, Timeline, charge_of

START: Final = parse("2024-01-31T00:00:00Z")
FEBRUARY: Final = parse("2024-02-29T00:00:00Z")
MARCH: Final = parse("2024-03-31T00:00:00Z")
APRIL: Final = parse("2024-04-30T00:00:00Z")

ONE: Final = StandardRate(Decimal(1))
SUBSCRIPTION: Final = Subscription(
    id="sub_1",
    merchant_id="org_a",
    customer_id="cus_1",
    name="n",
    plan_id="plan_1",
    plan_version_id="pver_1",
    version_number=1,
    started_at=START,
    elapsed_billing=ElapsedBilling.NONE,
    billing_starts_at=START,
    billing_anchor=START,
    billing_cadence="P1M",
    terms=Terms(),
    created_at=START,
    updated_at=START,
)


def price(id: str, cadence: str | None = None, rate: Rate = ONE) -> Price:
    return Price(
        id=id,
        merchant_id="org_a",
        billable_metric_id=None,
        fee_id="fee_1",
        invoice_display_name="n",
        invoice_display_group=None,
        payment_term=PaymentTerm.IN_ADVANCE,
        rate=rate,
        billing_cadence=cadence,
        pricing_unit_id=None,
        feature=None,
        grant_discount_enabled=False,
        is_obligation=False,
        rate_type=RateType.AMOUNT,
        tax=Tax(),
        quantity=1,
        created_at=START,
        updated_at=START,
    )


def line(key: str, cadence: str | None = None) -> VersionLine:
    return VersionLine(key=key, price=price(f"price_{key}", cadence), is_price_deleted=False)


def version(number: int, *lines: VersionLine) -> PlanVersion:
    return PlanVersion(
        id=f"pver_{number}",
        plan_id="plan_1",
        number=number,
        is_default=True,
        subscription_count=1,
        based_on=None,
        published_at=START,
        lines=lines,
    )


def timeline(*versions: PlanVersion) -> Timeline:
    """The versions charge from the start, from February, and so on."""
    starts = (START, FEBRUARY, MARCH, APRIL)
    spans = [Span(start, one.number) for start, one in zip(starts, versions, strict=False)]
    return Timeline(subscription=SUBSCRIPTION, spans=spans, versions={one.number: one for one in versions})


def written(id: str, key: str, start: Instant, end: Instant | None = None, **fields: bool) -> WrittenInterval:
    charge = charge_of(SUBSCRIPTION, line(key), start)
    return WrittenInterval(
        id=id, key=key, is_owned=fields.get("is_owned", False), charge=charge, start=start, end=end
    )


def times(found: Timeline) -> list[tuple[str, Instant, Instant | None]]:
    return [(one.key, one.start, one.end) for one in found.intervals()]


def test_lines_charge_in_the_order_of_the_plan() -> None:
    plain = timeline(version(1, line("b"), line("a")), version(2, line("a")))
    assert times(plain) == [("b", START, FEBRUARY), ("a", START, FEBRUARY), ("a", FEBRUARY, None)]


def test_what_is_written_charges_in_place_of_the_line() -> None:
    over = replace(timeline(version(1, line("a"))), written=(written("int_1", "a", FEBRUARY, MARCH),))
    assert times(over) == [("a", START, FEBRUARY), ("a", FEBRUARY, MARCH), ("a", MARCH, None)]
    assert len({one.id for one in over.intervals()}) == 3
    plain = timeline(version(1, line("a")))
    assert over.intervals()[0].id == plain.intervals()[0].id


def test_what_is_written_over_a_line_ends_with_it_and_the_own_goes_on() -> None:
    both = (written("int_1", "a", START + DAY), written("int_2", "own", START + DAY, is_owned=True))
    found = replace(timeline(version(1, line("a")), version(2, line("b"))), written=both)
    assert times(found) == [
        ("a", START, START + DAY),
        ("a", START + DAY, FEBRUARY),
        ("own", START + DAY, None),
        ("b", FEBRUARY, None),
    ]
    gone = replace(found, written=(written("int_1", "a", FEBRUARY + DAY),))
    assert times(gone) == [("a", START, FEBRUARY), ("b", FEBRUARY, None)]


def test_a_closed_line_charges_in_no_version() -> None:
    two = timeline(version(1, line("a")), version(2, line("a")))
    assert times(replace(two, closures=(Closure("a", START + DAY, None),))) == [("a", START, START + DAY)]
    early = replace(two, closures=(Closure("a", START, FEBRUARY + DAY),))
    assert times(early) == [("a", FEBRUARY + DAY, None)]


def test_what_charges_once_does_so_in_one_piece() -> None:
    once = timeline(version(1, line("setup", "P0D")))
    later = replace(once, written=(written("int_1", "setup", FEBRUARY, MARCH),))
    assert times(later) == [("setup", START, FEBRUARY), ("setup", FEBRUARY, MARCH)]
    before = replace(once, written=(written("int_1", "setup", START, MARCH),))
    assert times(before) == [("setup", START, MARCH)]


def test_an_end_of_the_subscription_ends_all() -> None:
    ending = replace(SUBSCRIPTION, terms=Terms(ending_at=MARCH))
    found = replace(
        timeline(version(1, line("a"))),
        subscription=ending,
        written=(written("int_1", "a", FEBRUARY), written("int_2", "own", MARCH, is_owned=True)),
    )
    assert times(found) == [("a", START, FEBRUARY), ("a", FEBRUARY, MARCH)]


def interval(charge: Charge, start: Instant = START) -> PriceInterval:
    return PriceInterval(id="int_1", key="a", plan_version_id="pver_1", charge=charge, start=start, end=None)


@pytest.mark.parametrize(
    ("is_in_advance", "now", "until"),
    [
        (True, START, START),
        (True, START + 1, FEBRUARY),
        (True, FEBRUARY, FEBRUARY),
        (True, FEBRUARY + 1, MARCH),
        (False, START + 1, START),
        (False, FEBRUARY - 1, START),
        (False, FEBRUARY, FEBRUARY),
        (False, MARCH - 1, FEBRUARY),
    ],
)
def test_a_period_is_billed_in_advance_or_once_it_is_over(
    is_in_advance: bool, now: Instant, until: Instant
) -> None:
    charge = replace(charge_of(SUBSCRIPTION, line("a"), START), is_in_advance=is_in_advance)
    assert interval(charge).billed_until(SUBSCRIPTION, now) == until


def test_what_charges_once_is_billed_after_its_date() -> None:
    once = interval(charge_of(SUBSCRIPTION, line("a", "P0D"), FEBRUARY))
    assert once.billed_until(SUBSCRIPTION, FEBRUARY) == START
    assert once.billed_until(SUBSCRIPTION, FEBRUARY + 1) == FEBRUARY + 1


def test_a_quantity_is_that_of_the_last_step() -> None:
    charge = replace(
        charge_of(SUBSCRIPTION, line("a"), START),
        steps=(QuantityStep(FEBRUARY, Decimal(2)), QuantityStep(MARCH, Decimal(3))),
    )
    assert [charge.quantity(at) for at in (FEBRUARY - 1, FEBRUARY, MARCH)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("rate", "first"),
    [
        (StandardRate(Decimal("0.5")), "0.5"),
        (VolumeRate((Tier(Decimal(10), Decimal(3)), Tier(None, Decimal(2)))), "3"),
        (DynamicRate(min_price=Decimal(4), max_price=Decimal(5)), "4"),
        (PercentageRate(percentage=Decimal("0.03"), min_charge=Decimal(1), max_charge=Decimal(9)), "0.03"),
    ],
)
def test_a_unit_costs_what_the_first_one_does(rate: Rate, first: str) -> None:
    charge = replace(charge_of(SUBSCRIPTION, line("a"), START), price=price("price_a", rate=rate))
    assert charge.resolved_unit_price == Decimal(first)
    if isinstance(rate, StandardRate):
        assert replace(charge, unit_price=Decimal(7)).resolved_unit_price == 7


def test_the_same_rate_in_other_words_changes_nothing_that_is_billed() -> None:
    plain = timeline(version(1, line("a")))
    [whole] = plain.intervals()
    same = replace(written("int_1", "a", START), id=whole.id)
    said = replace(same, charge=replace(same.charge, unit_price=Decimal("1.0")))
    require_sound(plain, replace(plain, written=(said,)), MARCH)
    other = replace(same, charge=replace(same.charge, unit_price=Decimal("1.1")))
    with pytest.raises(Conflict, match="billed already"):
        require_sound(plain, replace(plain, written=(other,)), MARCH)


def test_differences_are_by_interval() -> None:
    plain = timeline(version(1, line("a")))
    over = replace(plain, written=(written("int_1", "a", FEBRUARY, MARCH),))
    found = differences(plain.intervals(), over.intervals())
    assert [(one.before is not None, one.after is not None) for one in found] == [
        (True, True),
        (False, True),
        (False, True),
    ]
    assert differences(over.intervals(), over.intervals()) == ()
