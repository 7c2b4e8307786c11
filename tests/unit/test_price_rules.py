"""What makes a price none (contract 3.9)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from meterhouse.domain.errors import Invalid
from meterhouse.domain.feature import Feature, FeatureType
from meterhouse.domain.price import (
    DynamicRate,
    PaymentTerm,
    PercentageRate,
    Price,
    PricedFeature,
    PriceModel,
    Rate,
    RateType,
    StandardRate,
    SupplyScope,
    Tax,
    Tier,
    VolumeRate,
)
from meterhouse.domain.price_rules import require_sound
from meterhouse.domain.rate_document import document_of, rate_of

ONE = Decimal(1)
METERED = Price(
    id="price_1",
    merchant_id="org_a",
    billable_metric_id="bm_1",
    fee_id=None,
    invoice_display_name="n",
    invoice_display_group=None,
    payment_term=PaymentTerm.IN_ARREARS,
    rate=StandardRate(Decimal("0.01")),
    billing_cadence=None,
    pricing_unit_id=None,
    feature=None,
    grant_discount_enabled=False,
    is_obligation=False,
    rate_type=RateType.AMOUNT,
    tax=Tax(),
    quantity=1,
    created_at=1,
    updated_at=1,
)
FEE = replace(METERED, billable_metric_id=None, fee_id="fee_1")
REBATE = replace(METERED, rate=StandardRate(Decimal(-1)))
LADDER = VolumeRate((Tier(Decimal(10), ONE), Tier(Decimal(20), ONE), Tier(None, Decimal(0))))
CASHBACK = Tax(scope=SupplyScope.OUTSIDE_SCOPE, label="CASHBACK")
RATES: tuple[Rate, ...] = (
    StandardRate(Decimal("0.0100")),
    LADDER,
    DynamicRate(Decimal("0.01"), Decimal("0.10")),
    PercentageRate(Decimal("0.03"), Decimal("5.00"), Decimal("500.00")),
)


def featured(price: Price, template: dict[str, object] | None) -> Price:
    feature = Feature(
        id="feat_1",
        merchant_id="org_a",
        product_id="prod_a",
        key="k",
        name="n",
        type=FeatureType.METERED,
        metadata={},
        created_at=1,
        updated_at=1,
    )
    return replace(price, feature=PricedFeature(id="pf_1", feature=feature, template=template))


def wrong(price: Price) -> list[str]:
    """The fields that it is refused for."""
    with pytest.raises(Invalid) as refused:
        require_sound(price)
    return [problem.field for problem in refused.value.problems]


@pytest.mark.parametrize(
    "price",
    [
        *[replace(METERED, rate=rate) for rate in RATES],
        replace(FEE, quantity=7, is_obligation=True, invoice_display_group="g"),
        replace(METERED, grant_discount_enabled=True, pricing_unit_id="pu_1"),
        replace(METERED, rate_type=RateType.PROPORTION),
        REBATE,
        featured(REBATE, {"type": "metered", "isSoftLimit": True}),
        featured(REBATE, {"type": "boolean"}),
        featured(REBATE, None),
        replace(REBATE, tax=CASHBACK),
        replace(METERED, rate=StandardRate(Decimal(0)), tax=CASHBACK),
    ],
)
def test_a_price_that_makes_sense_is_one(price: Price) -> None:
    assert require_sound(price) is price


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"billable_metric_id": None}, "billableMetricId"),
        ({"fee_id": "fee_1"}, "feeId"),
        ({"quantity": 2}, "quantity"),
        ({"is_obligation": True}, "isObligation"),
        ({"rate": LADDER, "grant_discount_enabled": True}, "grantDiscountEnabled"),
        ({"rate": LADDER, "invoice_display_group": "g"}, "invoiceDisplayGroup"),
        ({"rate": LADDER, "rate_type": RateType.PROPORTION}, "rateType"),
        ({"pricing_unit_id": "pu_1", "rate_type": RateType.PROPORTION}, "rateType"),
        ({"tax": Tax(scope=SupplyScope.IN_SCOPE, label="CASHBACK")}, "tax.outsideScopeLabel"),
        ({"tax": CASHBACK}, "tax.supplyScope"),
        ({"rate": DynamicRate(ONE, Decimal(0))}, "properties.minPrice"),
        ({"rate": DynamicRate(Decimal(-1), ONE)}, "properties.minPrice"),
        ({"rate": PercentageRate(Decimal("10.1"), Decimal(0), ONE)}, "properties.percentage"),
        ({"rate": PercentageRate(ONE, Decimal(2), ONE)}, "properties.minCharge"),
    ],
)
def test_what_a_metered_price_cannot_be_is_named(change: dict[str, Any], field: str) -> None:
    assert field in wrong(replace(METERED, **change))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rate": LADDER}, "model"),
        ({"grant_discount_enabled": True}, "grantDiscountEnabled"),
        ({"pricing_unit_id": "pu_1"}, "pricingUnitId"),
        ({"rate_type": RateType.PROPORTION}, "rateType"),
        ({"rate": StandardRate(Decimal(-1))}, "properties.unitPrice"),
    ],
)
def test_what_a_fees_price_cannot_be_is_named(change: dict[str, Any], field: str) -> None:
    assert field in wrong(replace(FEE, **change))


@pytest.mark.parametrize("limit", [{}, {"isSoftLimit": False}])
def test_a_rebate_gives_back_nothing_beyond_a_hard_limit(limit: dict[str, object]) -> None:
    assert wrong(featured(REBATE, {"type": "metered"} | limit)) == ["properties.unitPrice"]
    for change in ({"grant_discount_enabled": True}, {"pricing_unit_id": "pu_1"}):
        changed: dict[str, Any] = change
        assert wrong(replace(REBATE, **changed)) == ["properties.unitPrice"]


@pytest.mark.parametrize(
    ("bounds", "fields"),
    [
        ((None, None), ["tiers.0.upTo"]),
        (("5", "5", None), ["tiers.1.upTo"]),
        (("5", "4", None), ["tiers.1.upTo"]),
        (("0", None), ["tiers.0.upTo"]),
        (("-1", None), ["tiers.0.upTo"]),
        (("5",), ["tiers.0.upTo"]),
        (("5", "6"), ["tiers.1.upTo"]),
    ],
)
def test_tiers_ascend_and_the_last_one_is_open(bounds: tuple[str | None, ...], fields: list[str]) -> None:
    tiers = tuple([Tier(None if bound is None else Decimal(bound), ONE) for bound in bounds])
    assert wrong(replace(METERED, rate=VolumeRate(tiers))) == [f"properties.{field}" for field in fields]


def test_no_tier_gives_money_back() -> None:
    ladder = VolumeRate((Tier(Decimal(1), ONE), Tier(None, Decimal(-1))))
    assert wrong(replace(METERED, rate=ladder)) == ["properties.tiers.1.unitPrice"]


def test_every_problem_is_told_at_once() -> None:
    assert wrong(replace(METERED, quantity=2, is_obligation=True)) == ["quantity", "isObligation"]


@pytest.mark.parametrize("rate", RATES)
def test_a_rate_comes_back_from_its_document_digit_by_digit(rate: Rate) -> None:
    model = replace(METERED, rate=rate).model
    document = document_of(rate)
    assert rate_of(model, document) == rate
    assert document_of(rate_of(model, document)) == document
    assert str(PriceModel(model)) in {"standard", "volume", "dynamic", "percentage"}
