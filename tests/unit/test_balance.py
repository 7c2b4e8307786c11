"""What a balance refuses to be asked; its rules are tested by laws, and by the page of examples."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from meterhouse.domain.allowance import Allowance, cuts
from meterhouse.domain.balance import Phase, burn_down
from meterhouse.domain.duration import Duration
from meterhouse.domain.grant import Grant
from meterhouse.domain.instant import SECOND
from meterhouse.domain.recurrence import Recurrence

GRANT = Grant(id="grt_1", amount=Decimal(10), effective_at=100, created_at=0)
ALLOWANCE = Allowance(start=100, grants=(GRANT,), resets=(200,))


def test_usage_is_needed_between_all_that_happens() -> None:
    assert cuts(ALLOWANCE, 250) == (100, 200, 250)
    assert cuts(ALLOWANCE, 200) == (100, 200)
    assert cuts(ALLOWANCE, 100) == (100,)
    assert cuts(ALLOWANCE, 99) == ()


def test_nothing_is_granted_before_the_start() -> None:
    early = burn_down(ALLOWANCE, [], 99)
    assert early.balance == 0
    assert early.remainders == {}
    assert burn_down(ALLOWANCE, [], 100).remainders == {"grt_1": 10}


@pytest.mark.parametrize(
    ("phases", "reason"),
    [
        ([], "do not follow each other"),
        ([Phase(100, 200, Decimal(1))], "do not follow each other"),
        ([Phase(200, 250, Decimal(1))], "do not follow each other"),
        ([Phase(100, 190, Decimal(1)), Phase(200, 250, Decimal(1))], "do not follow each other"),
        ([Phase(100, 200, Decimal(1)), Phase(200, 251, Decimal(1))], "do not follow each other"),
        ([Phase(100, 200, Decimal(1)), Phase(200, 200, Decimal(1)), Phase(200, 250, Decimal(1))],
         "do not follow each other"),
        ([Phase(100, 250, Decimal(1))], "in the middle of a phase"),
    ],
)  # fmt: skip
def test_usage_that_does_not_fit_the_allowance_is_refused(phases: list[Phase], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        burn_down(ALLOWANCE, phases, 250)


def test_what_is_issued_at_the_reset_of_a_snapshot_is_rolled_over_at_the_next() -> None:
    monthly = replace(GRANT, recurrence=Recurrence(100, Duration(seconds=1)), reset_max_rollover=Decimal(3))
    resets = (100 + SECOND, 100 + 2 * SECOND)
    allowance = Allowance(start=100, grants=(monthly,), resets=resets)
    phases = [Phase(100, resets[0], Decimal(0)), Phase(*resets, Decimal(0))]
    snapshot = burn_down(allowance, phases[:1], resets[0]).snapshot
    assert snapshot is not None
    answer = burn_down(allowance, phases, resets[1], snapshot=snapshot)
    assert answer == burn_down(allowance, phases, resets[1])
    assert answer.remainders == {"grt_1": 3 + 10}


def test_a_void_to_come_does_not_change_what_is_burned_first() -> None:
    expiring = replace(GRANT, id="grt_2", expires_at=240)
    allowance = replace(ALLOWANCE, grants=(replace(GRANT, voided_at=230), expiring))
    phases = [Phase(100, 200, Decimal(4)), Phase(200, 220, Decimal(0))]
    assert burn_down(allowance, phases, 220).remainders == {"grt_1": 10, "grt_2": 6}


def test_usage_before_the_start_is_refused() -> None:
    with pytest.raises(ValueError, match="do not follow each other"):
        burn_down(ALLOWANCE, [Phase(50, 99, Decimal(1))], 99)


def test_two_grants_are_never_taken_for_one() -> None:
    with pytest.raises(ValueError, match="same id"):
        Allowance(start=0, grants=(GRANT, GRANT))


@pytest.mark.parametrize(("amount", "most", "least"), [(0, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)])
def test_a_grant_has_an_amount_and_no_negative_rollover(amount: int, most: int, least: int) -> None:
    with pytest.raises(ValueError, match="grant grt_1 has an amount that is not positive"):
        Grant(
            id="grt_1",
            amount=Decimal(amount),
            effective_at=0,
            created_at=0,
            reset_max_rollover=Decimal(most),
            reset_min_rollover=Decimal(least),
        )
