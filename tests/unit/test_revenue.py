"""How invoices are grouped, and money written."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from meterhouse.domain.invoice import Invoice
from query.costs.revenue import OTHER, amount_of, by_customer, by_plan
from query.money import money


def invoice(customer: int, amount: str) -> Invoice:
    return Invoice(
        id=f"inv_{customer}{amount}",
        customer_id=f"cus_{customer:02}",
        subscription_id=None,
        currency="USD",
        amount=Decimal(amount),
        issued_at=1,
        paid_at=None,
    )


def test_25_customers_are_shown_and_of_26_the_largest_24() -> None:
    some = [invoice(number, str(number + 1)) for number in range(25)]
    shown = by_customer(some, {})
    assert list(shown.labels) == [f"cus_{number:02}" for number in reversed(range(25))]
    folded = by_customer([*some, invoice(25, "0.50")], {"cus_24": "Acme"})
    assert list(folded.labels) == [*[f"cus_{number:02}" for number in reversed(range(1, 25))], OTHER]
    assert (folded.labels["cus_24"], folded.labels[OTHER]) == ("Acme", "Other")
    assert {id for id, place in folded.of_invoice.items() if place == OTHER} == {"inv_01", "inv_250.50"}


def test_5_plans_are_shown_and_of_6_or_beside_others_the_largest_4() -> None:
    some = [
        replace(invoice(number, str(number + 1)), plan_id=f"plan_{number}", plan_name=f"Plan {number}")
        for number in range(5)
    ]
    assert list(by_plan(some).labels.values()) == [f"Plan {number}" for number in reversed(range(5))]
    folded = by_plan([*some, invoice(9, "0.50")])
    assert list(folded.labels) == ["plan_4", "plan_3", "plan_2", "plan_1", OTHER]
    assert {id for id, place in folded.of_invoice.items() if place == OTHER} == {"inv_01", "inv_90.50"}
    assert list(by_plan([*some[:4], invoice(9, "0.50")]).labels)[-2:] == ["plan_0", OTHER]


def test_a_customer_is_as_large_as_all_its_invoices() -> None:
    some = [invoice(1, "3"), invoice(2, "5"), invoice(1, "2.50")]
    assert list(by_customer(some, {}).labels) == ["cus_01", "cus_02"]
    assert amount_of(some) == Decimal("10.50")


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "0.00"),
        ("-0.001", "0.00"),
        ("0.005", "0.00"),
        ("0.015", "0.02"),
        ("-0.5", "-0.50"),
        ("1E+3", "1000.00"),
        ("123456789012345678901234567890.129", "123456789012345678901234567890.13"),
    ],
)
def test_money_has_two_decimals(amount: str, shown: str) -> None:
    assert money(Decimal(amount)) == shown
