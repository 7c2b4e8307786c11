"""What every catalog must do for entitlements, their grants, and purchases of grants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.domain.customer import Consumer, Customer
from meterhouse.domain.duration import Duration
from meterhouse.domain.entitlement import (
    Boolean,
    Entitlement,
    Metered,
    Static,
    Template,
    UsagePeriod,
    template_grant,
)
from meterhouse.domain.errors import Conflict, NotFound
from meterhouse.domain.feature import Feature, FeatureType
from meterhouse.domain.grant import Grant
from meterhouse.domain.holding import GivenGrant, HoldingFilter, Purchase
from meterhouse.domain.instant import Instant
from meterhouse.domain.plan import Cadence, NewVersion, Plan, TaxBehavior, TransitionDate
from meterhouse.domain.subscription import NewSubscription, Termination
from tests.servers.catalogs import CatalogStore

pytestmark = pytest.mark.anyio

TEMPLATE = Metered(
    usage_period=UsagePeriod(Duration.parse("P1M"), 7),
    is_soft_limit=True,
    issue_after_reset=Decimal("1000.000000000000000001"),
    issue_after_reset_priority=-3,
    preserve_overage_at_reset=True,
    reset_max_rollover=Decimal("0.5"),
    reset_min_rollover=Decimal(1),
)


@pytest.fixture
async def catalog(store: CatalogStore) -> AsyncIterator[Catalog]:
    async with Catalog.open(store.url) as catalog:
        for merchant, product in (("org_a", "prod_a"), ("org_b", "prod_b")):
            await catalog.ensure_product(merchant, product)
        for id in ("cus_1", "cus_2"):
            consumer = Consumer(
                id=f"org_{id[4:]}", name=id, email=f"{id}@example.com", address={}, phone=None
            )
            await catalog.customers.create(
                Customer(
                    id=id,
                    merchant_id="org_a",
                    consumer=consumer,
                    tax_id=None,
                    external_id=f"external {id}",
                    tax_rates={},
                    created_at=1,
                    updated_at=1,
                )
            )
        for number in range(1, 4):
            await catalog.features.create(
                Feature(
                    id=f"feat_{number}",
                    merchant_id="org_a",
                    product_id="prod_a",
                    key=f"key-{number}",
                    name="f",
                    type=FeatureType.METERED,
                    metadata={},
                    created_at=1,
                    updated_at=1,
                )
            )
        await subscribe(catalog)
        yield catalog


async def subscribe(catalog: Catalog) -> None:
    """The subscription `sub_1` of the customer `cus_1`, which starts at 70."""
    plan = Plan(
        id="plan_1",
        merchant_id="org_a",
        product_id="prod_a",
        name="p",
        description=None,
        invoice_display_name=None,
        currency="USD",
        cadence=Cadence.MONTHLY,
        billing_anchor=None,
        billing_version=1,
        default_tax_code="",
        default_tax_rate=Decimal(0),
        tax_behavior=TaxBehavior.EXCLUSIVE,
        renewal_reminder_enabled=True,
        renewal_reminder_days=3,
        credit_allocations=(),
        stable_price_ids=True,
        transition_date=TransitionDate.IMMEDIATE,
        default_version_id="pver_1",
        created_at=1,
        updated_at=1,
    )
    await catalog.plans.create(plan, NewVersion(id="pver_1", lines=(), published_at=1))
    await catalog.subscriptions.create(
        NewSubscription(
            id="sub_1",
            merchant_id="org_a",
            customer_id="cus_1",
            name="s",
            plan_id="plan_1",
            started_at=70,
            created_at=70,
        )
    )


def entitlement(number: int = 1, *, template: Template = TEMPLATE, **fields: object) -> Entitlement:
    made = Entitlement(
        id=f"ent_{number}",
        merchant_id="org_a",
        customer_id="cus_1",
        feature_id="feat_1",
        template=template,
        active_from=100,
        metadata={"a": "b"},
        created_at=number,
    )
    return replace(made, **fields)  # type: ignore[arg-type] # a test's shorthand


def direct(number: int, **fields: object) -> GivenGrant:
    grant = Grant(id=f"grt_{number}", amount=Decimal("2.50"), effective_at=5, created_at=number)
    given = GivenGrant(
        grant=grant, entitlement_id="ent_1", idempotency_key=f"k{number}", asked={"amount": Decimal("2.50")}
    )
    return replace(given, **fields)  # type: ignore[arg-type] # a test's shorthand


@pytest.mark.parametrize(
    "template", [TEMPLATE, Metered(), Boolean(), Static({"seats": Decimal("5.50"), "list": [None, "x"]})]
)
async def test_what_is_issued_is_read_as_it_was(catalog: Catalog, template: Template) -> None:
    one = entitlement(template=template, active_to=900, subscription_id="sub_1")
    grant = template_grant(one, id="grt_first")
    first = None if grant is None else GivenGrant(grant=grant, entitlement_id="ent_1")
    issued = await catalog.entitlements.issue(one, None, first)
    assert issued.entitlement == one
    assert issued.feature.key == "key-1"
    assert issued.external_id == "external cus_1"
    assert (issued.subscribed_at, issued.clock_at) == (70, None)
    assert issued.grants == (() if grant is None else (grant,))
    assert await catalog.entitlements.get("org_a", "ent_1") == issued


async def test_what_is_not_the_merchant_s_is_not_found(catalog: Catalog) -> None:
    await catalog.entitlements.issue(entitlement(), None, None)
    given = await catalog.grants.create("org_a", direct(1))
    for asked in (
        catalog.entitlements.get("org_b", "ent_1"),
        catalog.entitlements.get("org_a", "ent_9"),
        catalog.entitlements.issue(entitlement(2, customer_id="cus_9"), None, None),
        catalog.entitlements.issue(entitlement(2, feature_id="feat_9"), None, None),
        catalog.entitlements.issue(entitlement(2, merchant_id="org_b"), None, None),
        catalog.grants.create("org_b", direct(2)),
        catalog.grants.get("org_b", "ent_1", given.grant.id),
        catalog.grants.get("org_a", "ent_1", "grt_9"),
        catalog.grants.page("org_b", "ent_1", voided=True, limit=1, offset=0),
        catalog.grants.void("org_b", "ent_1", given.grant.id, 7),
        catalog.grants.order("org_b", purchase()),
        catalog.grants.pay("org_a", "inv_9", lambda *_: given.grant, 9),
    ):
        with pytest.raises(NotFound):
            await asked
    assert (await catalog.grants.get("org_a", "ent_1", given.grant.id)).grant.voided_at is None


async def test_a_feature_is_held_once_at_a_time(catalog: Catalog) -> None:
    issue = catalog.entitlements.issue
    await issue(entitlement(1, active_to=200), None, None)
    for overlapping in (
        entitlement(2),
        entitlement(2, active_from=50, active_to=101),
        entitlement(2, active_from=199),
    ):
        with pytest.raises(Conflict, match="ent_1"):
            await issue(overlapping, None, None)
    for number, beside in enumerate(
        [
            entitlement(3, active_from=200, active_to=300),
            entitlement(4, active_from=50, active_to=100),
            entitlement(5, customer_id="cus_2"),
            entitlement(6, feature_id="feat_2"),
            entitlement(7, subscription_id="sub_1"),
        ],
        start=3,
    ):
        assert (await issue(beside, None, None)).entitlement.id == f"ent_{number}"


async def test_lists_show_those_that_have_ended_last(catalog: Catalog) -> None:
    for one in (
        entitlement(1, feature_id="feat_1", active_to=200),
        entitlement(2, feature_id="feat_2"),
        entitlement(3, feature_id="feat_3", canceled_at=300),
        entitlement(4, customer_id="cus_2"),
    ):
        await catalog.entitlements.issue(one, None, None)

    async def ids(*page: int, **wanted: object) -> tuple[list[str], int]:
        filter = HoldingFilter(**({"at": 150} | wanted))  # type: ignore[arg-type] # a test's shorthand
        found = await catalog.entitlements.page("org_a", filter, *(page or (10, 0)))
        return [one.entitlement.id for one in found.items], found.total

    of_one: dict[str, object] = {"customer_id": "cus_1"}
    assert await ids(**of_one) == (["ent_1", "ent_2", "ent_3"], 3)
    assert await ids(**of_one, at=200) == (["ent_2", "ent_3", "ent_1"], 3)
    assert await ids(**of_one, at=300) == (["ent_2", "ent_1", "ent_3"], 3)
    assert await ids(1, 1, **of_one) == (["ent_2"], 3)
    assert await ids(external_customer_id="external cus_2") == (["ent_4"], 1)
    assert await ids(**of_one, feature_key="key-2") == (["ent_2"], 1)
    assert await ids(**of_one, product_id="prod_b") == ([], 0)
    assert await ids(subscription_id="sub_1") == ([], 0)
    everyone = HoldingFilter(at=1)
    assert (await catalog.entitlements.page("org_b", everyone, 10, 0)).total == 0


async def test_a_deleted_feature_or_customer_leaves_what_was_issued(catalog: Catalog) -> None:
    over = Termination(at=80)
    await catalog.subscriptions.update("org_a", "sub_1", lambda one: one.terminated(over, 80))
    await catalog.entitlements.issue(entitlement(active_to=200), None, None)
    await catalog.entitlements.issue(entitlement(2, feature_id="feat_2", canceled_at=150), None, None)
    await catalog.features.delete("org_a", "feat_1", 9)
    with pytest.raises(Conflict) as blocked:
        await catalog.customers.delete("org_a", "cus_1", 199)
    [blocker] = blocked.value.blockers
    assert (blocker.type, blocker.count) == ("entitlements", 1)
    assert blocker.items == ({"id": "ent_1", "status": "active"},)
    await catalog.customers.delete("org_a", "cus_1", 200)
    left = await catalog.entitlements.get("org_a", "ent_1")
    assert (left.feature.key, left.external_id) == ("key-1", None)


async def test_one_idempotency_key_makes_one_grant(catalog: Catalog) -> None:
    await catalog.entitlements.issue(entitlement(), None, None)
    given = await catalog.grants.create("org_a", direct(1))
    again = direct(2, idempotency_key="k1", asked={"amount": Decimal("2.5")})
    assert await catalog.grants.create("org_a", again) == given
    with pytest.raises(Conflict, match="amount"):
        await catalog.grants.create("org_a", direct(3, idempotency_key="k1", asked={"amount": Decimal(3)}))
    other = {"amount": Decimal("2.5"), "priority": 1}
    with pytest.raises(Conflict, match="priority"):
        await catalog.grants.create("org_a", direct(3, idempotency_key="k1", asked=other))
    at_once = [direct(number, idempotency_key="same") for number in range(10, 16)]
    made = await asyncio.gather(*[catalog.grants.create("org_a", one) for one in at_once])
    assert len({one.grant.id for one in made}) == 1
    page = await catalog.grants.page("org_a", "ent_1", voided=True, limit=10, offset=0)
    assert [one.grant.id for one in page.items] == ["grt_1", made[0].grant.id]


async def test_a_grant_is_voided_once(catalog: Catalog) -> None:
    await catalog.entitlements.issue(entitlement(), None, None)
    for number in (1, 2):
        await catalog.grants.create("org_a", direct(number))
    voided = await catalog.grants.void("org_a", "ent_1", "grt_1", 50)
    assert voided.grant.voided_at == 50
    assert await catalog.grants.void("org_a", "ent_1", "grt_1", 60) == voided
    some = await catalog.grants.page("org_a", "ent_1", voided=False, limit=10, offset=0)
    assert [one.grant.id for one in some.items] == ["grt_2"]
    assert some.total == 1
    held = await catalog.entitlements.get("org_a", "ent_1")
    assert {grant.id: grant.voided_at for grant in held.grants} == {"grt_1": 50, "grt_2": None}


def purchase(number: int = 1, amount: int = 5) -> Purchase:
    return Purchase(
        invoice_id=f"inv_{number}",
        entitlement_id="ent_1",
        idempotency_key="p",
        asked={"amount": Decimal(amount), "price": "5.00"},
        grant_id=f"grt_p{number}",
        created_at=1,
    )


async def test_a_purchase_is_granted_once_when_it_is_paid(catalog: Catalog) -> None:
    await catalog.entitlements.issue(entitlement(), None, None)
    ordered = await catalog.grants.order("org_a", purchase())
    assert await catalog.grants.order("org_a", purchase(2)) == ordered
    with pytest.raises(Conflict, match="amount"):
        await catalog.grants.order("org_a", purchase(3, amount=6))
    assert (await catalog.entitlements.get("org_a", "ent_1")).grants == ()

    def grant(bought: Purchase, at: Instant) -> Grant:
        return Grant(id=bought.grant_id, amount=bought.asked["amount"], effective_at=at, created_at=at)

    with pytest.raises(NotFound):
        await catalog.grants.pay("org_b", "inv_1", grant, 20)
    paid = await asyncio.gather(*[catalog.grants.pay("org_a", "inv_1", grant, 20) for _ in range(4)])
    assert {one.grant.id for one in paid} == {"grt_p1"}
    [held] = (await catalog.entitlements.get("org_a", "ent_1")).grants
    assert (held.amount, held.effective_at) == (Decimal(5), 20)
