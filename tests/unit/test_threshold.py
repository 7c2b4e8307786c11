"""Thresholds: what can be said, and when a balance is there."""

from __future__ import annotations

from decimal import Decimal

import pytest

from meterhouse.domain.balance import Balance
from meterhouse.domain.running_balance import Totals
from meterhouse.domain.threshold import is_exhausted, parse_thresholds, thresholds_of


def balance(left: str, used: str, overage: str = "0") -> Balance:
    return Balance(
        at=1,
        balance=Decimal(left),
        usage_in_period=Decimal(used),
        overage=Decimal(overage),
        credit=Decimal(0),
        remainders={},
        totals=Totals(),
        snapshot=None,
    )


def reached(text: str, at: Balance) -> list[str]:
    return [str(one) for one in parse_thresholds(text) if one.is_reached(at)]


def test_percentages_and_amounts_are_read_each_once() -> None:
    assert [str(one) for one in parse_thresholds(" 80%, 95.5% ,100,, 80.0%,0,0.25 ")] == [
        "80%", "95.5%", "100", "0", "0.25",
    ]  # fmt: skip
    assert parse_thresholds("") == ()


@pytest.mark.parametrize(
    "text", ["x", "80 %", "-1", "0%", "100.1%", "1e3", "٣", "80;90", "1.1234567890123456789", "NaN"]
)
def test_what_is_no_threshold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="percentage"):
        parse_thresholds(text)


def test_there_are_twenty_at_most() -> None:
    assert len(parse_thresholds(",".join(map(str, range(20))))) == 20
    with pytest.raises(ValueError, match="20"):
        parse_thresholds(",".join(map(str, range(21))))


@pytest.mark.parametrize(
    ("left", "used", "overage", "there"),
    [
        ("100", "0", "0", []),
        ("20.000000000000000001", "79.999999999999999999", "0", []),
        ("20", "80", "0", ["80%"]),
        ("10", "90", "0", ["80%", "10"]),
        ("0", "100", "0", ["80%", "100%", "10"]),
        ("0", "130", "30", ["80%", "100%", "10"]),
        ("0", "0", "30", ["80%", "100%", "10"]),  # overage carried from before, and nothing granted since
        ("0", "0", "0", []),  # nothing was granted, so that there was nothing to use
        ("100", "-5", "0", []),
    ],
)
def test_a_threshold_is_reached(left: str, used: str, overage: str, there: list[str]) -> None:
    assert reached("80%,100%,10", balance(left, used, overage)) == there


def test_use_is_exact_with_numbers_of_any_length() -> None:
    most = "9" * 58 + "." + "9" * 18
    assert reached("33.333333333333333333%", balance(most, "1")) == []
    assert reached("0.000000000000000001%", balance("1", most)) == ["0.000000000000000001%"]


@pytest.mark.parametrize(
    ("left", "used", "overage", "is_over"),
    [("0", "5", "0", True), ("0", "7", "2", True), ("0", "0", "0", False), ("0.1", "5", "0", False)],
)
def test_a_balance_is_exhausted_by_use_alone(left: str, used: str, overage: str, *, is_over: bool) -> None:
    assert is_exhausted(balance(left, used, overage)) is is_over


def test_the_entitlement_s_metadata_go_before_its_feature_s() -> None:
    feature = {"balanceThresholds": "50%"}
    assert [str(one) for one in thresholds_of({}, feature)] == ["50%"]
    assert thresholds_of({"balanceThresholds": ""}, feature) == ()
    assert [str(one) for one in thresholds_of({"balanceThresholds": "1"}, feature)] == ["1"]
    assert thresholds_of({"balanceThresholds": "what nobody checked"}, feature) == ()
