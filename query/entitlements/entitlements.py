"""Entitlements: what a customer may use, and how much of it is left (contract 3.4)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from meterhouse.adapters.catalog.ids import new_id
from meterhouse.domain.customer import CustomerFilter
from meterhouse.domain.entitlement import (
    Entitlement,
    Metered,
    Template,
    require_bearable,
    template_grant,
    type_of,
)
from meterhouse.domain.errors import Invalid, NotFound
from meterhouse.domain.feature import Feature, FeatureType
from meterhouse.domain.holding import GivenGrant, HoldingFilter
from meterhouse.domain.template_document import template_of
from query.answers import failures, json_answer
from query.backend import Backend, Merchant, Ports
from query.documents import Document
from query.entitlements.balances import AsOf, standings, until_counted
from query.entitlements.body import EntitlementBody, EntitlementsBody, detail, item
from query.entitlements.templates import require_template
from query.entitlements.thresholds import require_thresholds
from query.fields import (
    After,
    CustomerId,
    FeatureId,
    Line,
    MerchantId,
    Metadata,
    PageLimit,
    PageOffset,
    ProductId,
    SubscriptionId,
    Timestamp,
    checked_id,
)
from query.freshness import AfterHeader
from query.route import new_router
from query.stale import or_earlier
from query.wire import pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_METRIC: Final = "billableMetricId"


class NewEntitlement(BaseModel):
    """`metadata.billableMetricId` names what a metered one is measured by, unless its feature's does, or the
    price of the subscription's plan, or the only live price, that joins the feature with a billable metric.
    """

    model_config = _CAMEL

    customer_id: CustomerId
    feature_id: FeatureId
    template: Document
    active_from: Timestamp | None = None
    active_to: Timestamp | None = None
    subscription_id: SubscriptionId | None = None
    metadata: Metadata = {}


class StandingAsked(BaseModel):
    model_config = _CAMEL

    at: Timestamp | None = None
    after: After = ()


class EntitlementsAsked(BaseModel):
    """Those of one customer, or of one subscription."""

    model_config = _CAMEL

    customer_id: CustomerId | None = None
    external_customer_id: Line | None = None
    merchant_id: MerchantId | None = None
    feature_key: Line | None = None
    product_id: ProductId | None = None
    subscription_id: SubscriptionId | None = None
    at: Timestamp | None = None
    limit: PageLimit = 10
    offset: PageOffset = 0
    after: After = ()


_ONE: dict[int | str, dict[str, Any]] = {200: {"model": EntitlementBody, "description": "The entitlement."}}


@router.post(
    "/v1/entitlements",
    status_code=201,
    operation_id="issueEntitlement",
    responses={
        **failures(400, 403, 404, 409, 413, 415),
        201: {"model": EntitlementBody, "description": "Issued."},
    },
    response_model=None,
)
async def issue(body: NewEntitlement, merchant: Merchant, ports: Ports) -> Response:
    """Entitle a customer to a feature; a metered template grants its first amount at once."""
    template = _template(body.template)
    require_thresholds(body.metadata)
    subscription = None
    if body.subscription_id is not None:
        subscription = await ports.subscribed.subscriptions.get(merchant, body.subscription_id)
    wall = ports.clock.now()
    now = wall if subscription is None else subscription.now(wall)
    ending_at = None if subscription is None else subscription.terms.ending_at
    entitlement = Entitlement(
        id=new_id("ent"),
        merchant_id=merchant,
        customer_id=body.customer_id,
        feature_id=body.feature_id,
        template=template,
        active_from=now if body.active_from is None else body.active_from,
        active_to=ending_at if body.active_to is None else body.active_to,
        subscription_id=body.subscription_id,
        metadata=body.metadata,
        created_at=wall,
    )
    if entitlement.active_to is not None and entitlement.active_to <= entitlement.active_from:
        raise Invalid.field("activeTo", "must be after activeFrom")
    if ending_at is not None and body.active_to is not None and body.active_to > ending_at:
        raise Invalid.field("activeTo", "must not be after the end of the subscription")
    feature = await ports.features.get(merchant, body.feature_id)
    _require_type(template, feature)
    require_bearable(entitlement, now, "activeFrom")
    metric = await _metric_of(entitlement, feature, ports) if isinstance(template, Metered) else None
    grant = template_grant(entitlement, id=new_id("grt"))
    first = None if grant is None else GivenGrant(grant=grant, entitlement_id=entitlement.id)
    holding = await ports.holdings.entitlements.issue(entitlement, metric, first)
    [standing] = await standings(ports, merchant, [holding], AsOf(None, wall))
    return json_answer(detail(standing), status=201)


def _template(document: Document) -> Template:
    if document.get("type") not in (*FeatureType,):
        raise Invalid.field("template.type", f"must be one of: {', '.join(FeatureType)}")
    require_template(document, "template.")
    return template_of(document)


def _require_type(template: Template, feature: Feature) -> None:
    if type_of(template) is not feature.type:
        message = f"is {type_of(template)}, but the feature {feature.key} is {feature.type}"
        raise Invalid.field("template.type", message)


async def _metric_of(entitlement: Entitlement, feature: Feature, ports: Backend) -> str:
    """The billable metric that measures it (contract 10, decision 2)."""
    merchant = entitlement.merchant_id
    named = entitlement.metadata.get(_METRIC) or feature.metadata.get(_METRIC)
    if named is not None:
        try:
            return (await ports.metrics.get(merchant, checked_id(named, "bm", "billable metric"))).metric.id
        except NotFound as error:
            raise Invalid.field(f"metadata.{_METRIC}", f"names no billable metric: {named}") from error
    priced = await ports.holdings.entitlements.priced_metrics(
        merchant, feature.id, entitlement.subscription_id
    )
    if len(priced) != 1:
        found = "no live price joins" if not priced else f"{len(priced)} live prices' metrics are joined with"
        message = f"name the billable metric in metadata.{_METRIC}: {found} the feature {feature.key}"
        raise Invalid.field(f"metadata.{_METRIC}", message, "required")
    return priced[0]


@router.get(
    "/v1/entitlements/{entitlementId}",
    operation_id="getEntitlement",
    responses={**failures(400, 404, 504), **_ONE},
    response_model=None,
)
async def get(
    entitlementId: str,  # noqa: N803 # the contract's name
    asked: Annotated[StandingAsked, Query()],
    after: AfterHeader,
    merchant: Merchant,
    ports: Ports,
) -> Response:
    """Get an entitlement, and its balance now or `at` any instant."""
    holding = await ports.holdings.entitlements.get(merchant, checked(entitlementId))
    as_of = AsOf(asked.at, ports.clock.now())
    require_bearable(holding.entitlement, as_of.of(holding), "at")
    await until_counted(ports, merchant, [holding], (*asked.after, *after))
    [standing] = await standings(ports, merchant, [holding], as_of)
    return json_answer(detail(standing))


@router.get(
    "/v1/entitlements",
    operation_id="listEntitlements",
    responses={
        **failures(400, 403, 404, 504),
        200: {"model": EntitlementsBody, "description": "One page."},
    },
    response_model=None,
)
async def page(
    asked: Annotated[EntitlementsAsked, Query()], after: AfterHeader, merchant: Merchant, ports: Ports
) -> Response:
    """List the entitlements of a customer or a subscription: those that have ended come last."""
    if asked.merchant_id is not None and asked.merchant_id != merchant:
        raise NotFound(f"there is no merchant {asked.merchant_id}")
    as_of = AsOf(asked.at, ports.clock.now())
    wanted = HoldingFilter(
        customer_id=await _customer_of(asked, merchant, ports),
        subscription_id=asked.subscription_id,
        feature_key=asked.feature_key,
        product_id=asked.product_id,
        at=as_of.wall if asked.at is None else asked.at,
        is_now=asked.at is None,
    )
    found = await ports.holdings.entitlements.page(merchant, wanted, asked.limit, asked.offset)
    for one in found.items:
        require_bearable(one.entitlement, as_of.of(one), "at")
    positions = (*asked.after, *after)
    await until_counted(ports, merchant, found.items, positions)

    async def look() -> dict[str, object]:
        data = [item(one) for one in await standings(ports, merchant, found.items, as_of)]
        of_page = pagination(found, asked.limit, asked.offset)
        return {"object": "list", "data": data, "pagination": of_page.model_dump()}

    if positions:
        return json_answer(await look())
    # An earlier answer is one about the same entitlements: a customer may be another one by now.
    question = (merchant, asked.model_dump_json(), *[one.entitlement.id for one in found.items])
    return json_answer(await or_earlier(ports.earlier, question, look, ports.clock))


async def _customer_of(asked: EntitlementsAsked, merchant: str, ports: Backend) -> str | None:
    """The one customer that is asked for; None where it is a subscription."""
    match asked.customer_id, asked.external_customer_id:
        case None, None if asked.subscription_id is not None:
            return None
        case str(id), None:
            return (await ports.customers.get(merchant, id)).id
        case None, str(external_id):
            named = CustomerFilter(external_id=external_id)
            for customer in (await ports.customers.page(merchant, named, 1, 0)).items:
                return customer.id
            raise NotFound(f"there is no customer of externalId {external_id}")
    raise Invalid.field("customerId", "give exactly one of customerId and externalCustomerId", "required")


def checked(id: str) -> str:
    """`id` if it can be an entitlement's."""
    return checked_id(id, "ent", "entitlement")
