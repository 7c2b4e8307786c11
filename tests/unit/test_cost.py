"""What usage costs, to the last digit."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterhouse.domain.cost import Cost, percent_change, percentage, total
from tests.servers.catalogs import metric

# Sums of events and unit costs as large and as fine as they can be.
quantities = st.decimals(-(10**57), 10**57, places=18, allow_nan=False)
unit_costs = st.decimals(0, 10**19, places=18, allow_nan=False)
amounts = st.tuples(quantities, unit_costs)


def cost(unit_cost: Decimal) -> Cost:
    return Cost(metric=metric("cst_a"), currency="USD", unit_cost=unit_cost)


@given(amounts)
def test_a_cost_is_the_exact_product(amount: tuple[Decimal, Decimal]) -> None:
    quantity, unit_cost = amount
    assert Fraction(cost(unit_cost).of(quantity)) == Fraction(quantity) * Fraction(unit_cost)


@given(st.lists(amounts, max_size=20))
def test_a_total_is_the_exact_sum_in_any_order(some: list[tuple[Decimal, Decimal]]) -> None:
    costs = [cost(unit_cost).of(quantity) for quantity, unit_cost in some]
    assert Fraction(total(costs)) == sum(map(Fraction, costs), Fraction(0))
    assert total(costs) == total(reversed(costs))


@given(quantities, quantities)
def test_a_percentage_is_off_by_half_a_digit_at_most(part: Decimal, whole: Decimal) -> None:
    found = percentage(part, whole)
    if not whole:
        assert found == 0
        return
    assert abs(Fraction(found) - Fraction(part) * 100 / Fraction(whole)) <= Fraction(1, 2 * 10**18)


@pytest.mark.parametrize(
    ("now", "before", "change"),
    [("3", "2", "50"), ("1", "2", "-50"), ("0", "0.3", "-100"), ("5", "0", None), ("0", "0", None)],
)
def test_a_change_is_in_percent_of_what_was_before(now: str, before: str, change: str | None) -> None:
    expected = None if change is None else Decimal(change)
    assert percent_change(Decimal(now), Decimal(before)) == expected
