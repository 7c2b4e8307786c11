"""Burn-down: conservation, equality with a slow oracle, and what must not matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal, localcontext
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterhouse.domain.allowance import Allowance, cuts
from meterhouse.domain.balance import Balance, Phase, burn_down
from meterhouse.domain.duration import Duration
from meterhouse.domain.grant import UNLIMITED, Grant
from meterhouse.domain.instant import SECOND
from meterhouse.domain.recurrence import Recurrence
from meterhouse.domain.rollup import EXACT
from meterhouse.domain.running_balance import Totals
from tests.burn_down_oracle import PlainAllowance, PlainGrant, simulate

# Few ticks, so that many things happen at the same one.
LAST = 12
ticks = st.integers(0, LAST)
late_ticks = st.integers(LAST // 2, LAST)
# The largest amount is far over UNLIMITED, and its sums still have a digit for 1e-18.
units = st.sampled_from(
    [Decimal(1), Decimal("0.1"), Decimal("1E-18"), Decimal("10000000000.000000000000000001")]
)


@st.composite
def plain_grants(draw: st.DrawFn, number: int) -> PlainGrant:
    return PlainGrant(
        id=f"grt_{number}",
        amount=draw(st.integers(1, 20) | st.just(200)),
        effective=draw(st.just(0) | ticks),
        created=draw(st.integers(0, 1)),
        priority=draw(st.sampled_from([0, 0, 0, -1, 1])),
        expires=draw(st.none() | late_ticks),
        voided=draw(st.none() | st.none() | late_ticks | ticks),
        most=draw(st.none() | st.integers(0, 15)),
        least=draw(st.just(0) | st.integers(0, 15)),
        every=draw(st.none() | st.integers(1, 6)),
        anchor=draw(st.integers(-LAST, LAST)),
    )


@st.composite
def allowances(draw: st.DrawFn) -> PlainAllowance:
    return PlainAllowance(
        grants=tuple(draw(plain_grants(number)) for number in range(draw(st.integers(0, 4)))),
        resets=draw(st.frozensets(ticks, max_size=4)),
        start=draw(st.just(0) | st.integers(0, 3) | ticks),
        end=draw(st.none() | st.none() | ticks),
        preserve_overage=draw(st.booleans()),
    )


def per_tick(change: st.SearchStrategy[int]) -> st.SearchStrategy[dict[int, int]]:
    return st.lists(st.just(0) | change, min_size=LAST // 2, max_size=LAST).map(
        lambda changes: dict(enumerate(changes))
    )


changes = per_tick(st.integers(-15, 30))
used = per_tick(st.integers(0, 30))


def exact(plain: PlainAllowance, unit: Decimal) -> Allowance:
    """The same in instants and Decimals; a tick is a second."""
    return Allowance(
        start=plain.start * SECOND,
        end=None if plain.end is None else plain.end * SECOND,
        grants=tuple(_grant(one, unit) for one in plain.grants),
        resets=tuple(reset * SECOND for reset in sorted(plain.resets)),
        preserve_overage=plain.preserve_overage,
    )


def times(count: int, unit: Decimal) -> Decimal:
    return EXACT.multiply(count, unit)


def _sum(changes: Mapping[int, int], start: int, end: int) -> int:
    return sum(change for tick, change in changes.items() if start <= tick < end)


def _grant(plain: PlainGrant, unit: Decimal) -> Grant:
    return Grant(
        id=plain.id,
        amount=times(plain.amount, unit),
        effective_at=plain.effective * SECOND,
        created_at=plain.created,
        priority=plain.priority,
        expires_at=None if plain.expires is None else plain.expires * SECOND,
        voided_at=None if plain.voided is None else plain.voided * SECOND,
        reset_max_rollover=UNLIMITED if plain.most is None else times(plain.most, unit),
        reset_min_rollover=times(plain.least, unit),
        recurrence=None
        if plain.every is None
        else Recurrence(plain.anchor * SECOND, Duration(seconds=plain.every)),
    )


def by_tick(allowance: Allowance, changes: Mapping[int, int], unit: Decimal, at: int) -> tuple[Phase, ...]:
    """A phase for every tick up to `at`, or the end."""
    end = allowance.last(at * SECOND) // SECOND
    return tuple(
        Phase(tick * SECOND, (tick + 1) * SECOND, times(changes.get(tick, 0), unit))
        for tick in range(allowance.start // SECOND, end)
    )


def by_cut(allowance: Allowance, changes: Mapping[int, int], unit: Decimal, at: int) -> tuple[Phase, ...]:
    """The phases that are needed, with the sums of the changes."""
    return tuple(
        Phase(start, end, times(_sum(changes, start // SECOND, end // SECOND), unit))
        for start, end in pairwise(cuts(allowance, at * SECOND))
    )


def answer(plain: PlainAllowance, changes: Mapping[int, int], at: int, unit: Decimal = Decimal(1)) -> Balance:
    allowance = exact(plain, unit)
    return burn_down(allowance, by_tick(allowance, changes, unit, at), at * SECOND)


@settings(max_examples=400)
@given(allowances(), changes, ticks, units)
def test_burn_down_equals_one_unit_after_the_other(
    plain: PlainAllowance, changes: dict[int, int], at: int, unit: Decimal
) -> None:
    balance, outcome = answer(plain, changes, at, unit), simulate(plain, changes, at)
    assert balance.remainders == {id: times(left, unit) for id, left in outcome.left.items()}
    assert balance.balance == times(sum(outcome.left.values()), unit)
    assert balance.usage_in_period == times(outcome.usage, unit)
    assert (balance.overage, balance.credit) == (times(outcome.overage, unit), times(outcome.credit, unit))
    expected = {field.name: times(outcome.totals[field.name], unit) for field in fields(Totals)}
    assert balance.totals == Totals(**expected)


@given(allowances(), changes, ticks, units)
def test_nothing_that_was_granted_or_used_is_lost_or_doubled(
    plain: PlainAllowance, changes: dict[int, int], at: int, unit: Decimal
) -> None:
    balance = answer(plain, changes, at, unit)
    totals, last = balance.totals, at if plain.end is None else min(at, plain.end)
    with localcontext(EXACT):
        gone = totals.burned + totals.expired + totals.voided + totals.rolled_off
        assert totals.granted + totals.raised == gone + balance.balance
        dropped = totals.overage_dropped - totals.credit_dropped
        assert totals.usage == totals.burned + balance.overage - balance.credit + dropped
    assert totals.usage == times(_sum(changes, plain.start, last), unit)
    assert min(balance.balance, balance.overage, balance.credit, *balance.remainders.values()) >= 0
    assert not (balance.overage and balance.credit)
    assert not (balance.overage and balance.balance)


@given(allowances(), used, ticks, units)
def test_where_a_phase_of_usage_is_split_does_not_matter(
    plain: PlainAllowance, used: dict[int, int], at: int, unit: Decimal
) -> None:
    allowance = exact(plain, unit)
    whole = burn_down(allowance, by_cut(allowance, used, unit, at), at * SECOND)
    split = burn_down(allowance, by_tick(allowance, used, unit, at), at * SECOND)
    assert replace(whole, snapshot=None) == replace(split, snapshot=None)


@given(allowances(), changes, ticks, st.data())
def test_the_order_in_which_grants_are_given_does_not_matter(
    plain: PlainAllowance, changes: dict[int, int], at: int, data: st.DataObject
) -> None:
    turned = replace(plain, grants=tuple(data.draw(st.permutations(plain.grants))))
    assert answer(turned, changes, at) == answer(plain, changes, at)


@given(allowances(), changes, ticks)
def test_what_comes_later_changes_nothing_earlier(
    plain: PlainAllowance, changes: dict[int, int], at: int
) -> None:
    known = replace(
        plain,
        grants=tuple(
            replace(grant, voided=None if grant.voided is not None and grant.voided > at else grant.voided)
            for grant in plain.grants
            if grant.effective <= at
        ),
        resets=frozenset(reset for reset in plain.resets if reset <= at),
    )
    one, other = answer(plain, changes, at), answer(known, changes, at)
    assert replace(one, snapshot=None) == replace(other, snapshot=None)


def _changed(plain: PlainAllowance, what: str, data: st.DataObject) -> PlainAllowance:
    match what:
        case "void":
            voided = tuple(replace(grant, voided=data.draw(ticks)) for grant in plain.grants)
            return replace(plain, grants=voided)
        case "grant":
            return replace(plain, grants=(*plain.grants, data.draw(plain_grants(9))))
        case "reset":
            return replace(plain, resets=plain.resets ^ {data.draw(ticks)})
        case "overage":
            return replace(plain, preserve_overage=not plain.preserve_overage)
        case "start":
            return replace(plain, start=data.draw(ticks))
        case "end":
            return replace(plain, end=data.draw(st.none() | ticks))
        case "all":
            return data.draw(allowances())
    return plain


@pytest.mark.parametrize(
    "what", ["nothing", "event", "void", "grant", "reset", "overage", "start", "end", "all"]
)
@settings(max_examples=150)
@given(st.data())
def test_a_snapshot_changes_no_answer_however_stale_or_foreign_it_is(what: str, data: st.DataObject) -> None:
    plain, usage = data.draw(allowances()), data.draw(changes)
    snapshot = answer(plain, usage, data.draw(late_ticks)).snapshot
    plain = _changed(plain, what, data)
    if what == "all":
        usage = data.draw(changes)
    elif what == "event":
        usage = usage | {data.draw(ticks): data.draw(st.integers(-15, 30))}
    allowance, at = exact(plain, Decimal(1)), data.draw(late_ticks)
    phases = by_tick(allowance, usage, Decimal(1), at)
    assert burn_down(allowance, phases, at * SECOND, snapshot=snapshot) == answer(plain, usage, at)


def test_an_answer_goes_on_from_a_snapshot_whose_past_is_the_same() -> None:
    """Told by a snapshot that says something else than the past does."""
    plain = PlainAllowance(
        grants=(PlainGrant(id="grt_1", amount=100, effective=0),),
        resets=frozenset({10, 20}),
        start=0,
        end=None,
        preserve_overage=False,
    )
    allowance, usage = exact(plain, Decimal(1)), {3: 30, 12: 5}
    snapshot = answer(plain, usage, 15).snapshot
    assert snapshot is not None
    assert snapshot.at == 10 * SECOND
    told = replace(snapshot, state=replace(snapshot.state, remainders=((0, Decimal(1000)),)))
    for at, balance in ((12, 1000), (13, 995), (24, 995)):
        phases = by_tick(allowance, usage, Decimal(1), at)
        assert burn_down(allowance, phases, at * SECOND, snapshot=told).balance == balance
    late = by_tick(allowance, {3: 31, 12: 5}, Decimal(1), 13)
    assert burn_down(allowance, late, 13 * SECOND, snapshot=told).balance == 100 - 36


@given(allowances(), ticks)
def test_cuts_are_where_phases_may_join(plain: PlainAllowance, at: int) -> None:
    """They are ascending, from the start to the end; one that is left out is missed."""
    allowance = exact(plain, Decimal(1))
    instants = cuts(allowance, at * SECOND)
    last = allowance.last(at * SECOND)
    assert (not instants) == (last < allowance.start)
    assert all(one < other for one, other in pairwise(instants))
    if instants:
        assert (instants[0], instants[-1]) == (allowance.start, last)
    for left_out in instants[1:-1]:
        joined = pairwise([instant for instant in instants if instant != left_out])
        with pytest.raises(ValueError, match="in the middle of a phase"):
            burn_down(allowance, [Phase(start, end, Decimal(1)) for start, end in joined], at * SECOND)
