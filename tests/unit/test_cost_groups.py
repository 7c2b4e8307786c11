"""How a report of costs adds up, ranks and folds its groups."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.cost import Cost
from meterhouse.domain.rollup import Reading
from meterhouse.domain.usage import Cells, GroupTotal, Usage, UsageCell
from meterhouse.domain.window import Window
from query.costs.groups import (
    OTHER,
    Amount,
    Counted,
    Group,
    folded,
    groups_of,
    places_of,
    ranked,
    series_of,
)
from tests.servers.catalogs import metric

FIRST, SECOND = Window(0, 10), Window(10, 20)


def group(key: str, cost: int, quantity: int = 1, events: int = 1) -> Group:
    return Group(key, Amount(events, Decimal(quantity), Decimal(cost)), Amount())


def counted(id: str, unit_cost: int, cells: list[tuple[Window, str, int]]) -> Counted:
    """SUMs by subject, a cell each."""
    subjects = sorted({subject for _, subject, _ in cells})

    def reading(*values: int) -> Reading:
        return Reading(count=len(values), sum=Decimal(sum(values)))

    return Counted(
        cost=Cost(metric=metric(id), currency="USD", unit_cost=Decimal(unit_cost)),
        aggregation=Aggregation.SUM,
        is_grouped=True,
        usage=Usage(
            reading(*[value for *_, value in cells]),
            Cells.of([UsageCell(window, (subject,), reading(value)) for window, subject, value in cells]),
            tuple(
                GroupTotal((name,), reading(*[value for _, subject, value in cells if subject == name]))
                for name in subjects
            ),
        ),
    )


groups = st.lists(
    st.builds(group, st.text("ab_", max_size=3) | st.just(OTHER), st.integers(-9, 9), st.integers(0, 9)),
    unique_by=lambda one: one.key,
    max_size=12,
)


@given(groups, st.integers(1, 25))
def test_folding_loses_nothing(some: list[Group], top: int) -> None:
    listed = folded(some, top)
    assert Amount.sum(one.amount for one in listed) == Amount.sum(one.amount for one in some)
    assert len({one.key for one in listed}) == len(listed)
    assert [one.is_other for one in listed] == [one.key == OTHER for one in listed]
    alone = [one for one in listed if not one.is_other]
    assert alone == [one for one in some if one.key != OTHER][:top]


@given(groups, st.booleans(), st.booleans())
def test_groups_are_ranked_by_number_and_equal_ones_by_key(
    some: list[Group], by_quantity: bool, ascending: bool
) -> None:
    found = ranked(some, by_quantity=by_quantity, ascending=ascending)
    numbers = [one.amount.quantity if by_quantity else one.amount.cost for one in found]
    assert numbers == sorted(numbers, reverse=not ascending)
    for before, after in pairwise(found):
        same = (
            (before.amount.quantity == after.amount.quantity)
            if by_quantity
            else (before.amount.cost == after.amount.cost)
        )
        assert not same or before.key < after.key


def test_a_customer_costs_what_every_cost_counts_of_it() -> None:
    compute = counted("cst_a", 2, [(FIRST, "cus_1", 3), (SECOND, "cus_1", 4), (SECOND, "cus_2", 1)])
    storage = counted("cst_b", 10, [(FIRST, "cus_2", 1)])
    found = {one.key: one.amount for one in groups_of([compute, storage])}
    assert found == {
        "cus_1": Amount(2, Decimal(7), Decimal(14)),
        "cus_2": Amount(2, Decimal(2), Decimal(12)),
    }


def test_a_series_is_of_what_the_page_shows() -> None:
    found = [
        counted("cst_a", 1, [(FIRST, "cus_1", 9), (FIRST, "cus_2", 5), (SECOND, "cus_3", 3)]),
        counted("cst_b", 1, [(SECOND, "cus_3", 1), (SECOND, "cus_4", 1), (SECOND, "cus_1", 1)]),
    ]
    kept = ranked(groups_of(found), by_quantity=False, ascending=False)
    listed = folded(kept, 2)
    assert [one.key for one in listed] == ["cus_1", "cus_2", OTHER]
    whole = series_of(found, places_of(kept, listed, listed))
    assert whole == [
        (FIRST, {"cus_1": Decimal(9), "cus_2": Decimal(5)}),
        (SECOND, {"cus_1": Decimal(1), OTHER: Decimal(5)}),
    ]
    assert series_of(found, places_of(kept, listed, listed[1:2])) == [(FIRST, {"cus_2": Decimal(5)})]
    assert series_of(found, places_of(kept, listed, listed[2:])) == [(SECOND, {OTHER: Decimal(5)})]


def test_by_cost_a_cost_without_usage_is_a_group_of_its_own() -> None:
    one = Counted(
        cost=Cost(metric=metric("cst_a"), currency="USD", unit_cost=Decimal(1)),
        aggregation=Aggregation.SUM,
        is_grouped=False,
        usage=Usage(Reading()),
    )
    [empty] = groups_of([one])
    assert (empty.key, empty.is_empty) == ("cst_a", True)


def test_usage_that_costs_nothing_is_not_empty() -> None:
    assert not group("cus_1", cost=0, quantity=0).is_empty
    assert group("cus_1", cost=0, quantity=0, events=0).is_empty
