"""Which entitlements go on with what is offered."""

from __future__ import annotations

from meterhouse.domain.entitlement import Boolean, Entitlement
from meterhouse.domain.feature import Feature, FeatureType
from meterhouse.domain.following import follow
from meterhouse.domain.instant import Instant
from meterhouse.domain.provision import Offer, Offered

FEATURE = Feature(
    id="feat_1",
    merchant_id="org_a",
    product_id="prod_a",
    key="k",
    name="n",
    type=FeatureType.BOOLEAN,
    metadata={},
    created_at=0,
    updated_at=0,
)
OFFER = Offer(feature=FEATURE, template=None, billable_metric_id=None, is_billed=True)


def offered(start: Instant, end: Instant | None = None) -> Offered:
    return Offered(OFFER, start, end)


def held(start: Instant, end: Instant | None = None) -> Entitlement:
    return Entitlement(
        id=f"ent_{start}",
        merchant_id="org_a",
        customer_id="cus_1",
        feature_id="feat_1",
        template=Boolean(),
        active_from=start,
        active_to=end,
        created_at=0,
    )


def test_an_offer_goes_on_with_the_entitlement_that_has_begun() -> None:
    found = follow([offered(5)], [held(1)])
    assert (found.kept, found.begun, found.gone) == (((held(1), offered(5)),), (), ())


def test_one_entitlement_serves_one_offer() -> None:
    found = follow([offered(5, 7), offered(9)], [held(1)])
    assert found.kept == ((held(1), offered(5, 7)),)
    assert found.begun == (offered(9),)
    assert follow([offered(5, 7), offered(9)], [held(1, 7), held(9)]).begun == ()


def test_what_has_ended_or_is_to_come_serves_none_before() -> None:
    found = follow([offered(5)], [held(1, 5), held(6)])
    assert (found.begun, found.gone) == ((offered(5),), (held(1, 5), held(6)))
    assert follow([], [held(1)]).gone == (held(1),)
