"""Where the merchant is told: endpoints, and the secrets that their notices are signed with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from pydantic.alias_generators import to_camel

from meterhouse.adapters.catalog.ids import new_id, new_secret
from meterhouse.domain.errors import Invalid
from meterhouse.domain.instant import render
from meterhouse.domain.webhook import Endpoint, NoticeType
from query.answers import failures
from query.backend import Backend, Merchant, Ports
from query.fields import PageAsked, Prose, checked_id
from query.route import RawRoute, new_router
from query.sales.products import refuse_nulls
from query.wire import ListBody, Moment, Wire, pagination

router = new_router()
bodiless = new_router(RawRoute)

_CAMEL = ConfigDict(alias_generator=to_camel)
_ALL: Final = "/api/v1/webhooks/endpoints"
_ONE: Final = f"{_ALL}/{{id}}"

Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2_000,
        description="An https URL of a public host.",
        examples=["https://example.com/webhooks"],
    ),
]
EventTypes = Annotated[list[NoticeType], Field(max_length=20, description="Empty is all of them.")]


class NewEndpoint(BaseModel):
    model_config = _CAMEL

    url: Url
    description: Prose = ""
    event_types: EventTypes = []


class EndpointChanges(BaseModel):
    """What is absent stays as it is."""

    model_config = _CAMEL

    url: Url | None = None
    description: Prose | None = None
    event_types: EventTypes | None = None
    enabled: StrictBool | None = None


class EndpointBody(Wire):
    """`gone` says that it answered 410, which disabled it."""

    id: str
    object: Literal["webhookEndpoint"] = "webhookEndpoint"
    merchant_id: str
    url: str
    description: str
    event_types: list[NoticeType]
    enabled: bool
    gone: bool
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, endpoint: Endpoint) -> EndpointBody:
        return cls(
            id=endpoint.id,
            merchant_id=endpoint.merchant_id,
            url=endpoint.url,
            description=endpoint.description,
            event_types=list(endpoint.types),
            enabled=endpoint.enabled,
            gone=endpoint.gone,
            created_at=render(endpoint.created_at),
            updated_at=render(endpoint.updated_at),
        )


class SignedEndpointBody(EndpointBody):
    """With its secret, which no later answer has."""

    secret: str

    @classmethod
    def signed(cls, endpoint: Endpoint, secret: str) -> SignedEndpointBody:
        return cls(**EndpointBody.of(endpoint).model_dump(), secret=secret)


@router.post(
    _ALL,
    status_code=201,
    operation_id="createWebhookEndpoint",
    responses=failures(400, 404, 409, 413, 415),
)
async def create(body: NewEndpoint, merchant: Merchant, ports: Ports) -> SignedEndpointBody:
    """Tell the merchant at a URL, of all that happens or of some types; the answer has the secret."""
    return SignedEndpointBody.signed(*await added(body, merchant, ports))


async def added(body: NewEndpoint, merchant: str, ports: Backend) -> tuple[Endpoint, str]:
    """The new endpoint and its secret. Raises Invalid, Conflict, NotFound where webhooks were never on."""
    _require_allowed(body.url, ports)
    now, secret = ports.clock.now(), new_secret()
    endpoint = Endpoint(
        id=new_id("ep"),
        merchant_id=merchant,
        url=body.url,
        description=body.description,
        types=_types(body.event_types),
        created_at=now,
        updated_at=now,
    )
    return await ports.told.endpoints.create(endpoint, secret), secret


@router.get(_ALL, operation_id="listWebhookEndpoints", responses=failures(400))
async def page(
    asked: Annotated[PageAsked, Query()], merchant: Merchant, ports: Ports
) -> ListBody[EndpointBody]:
    """List endpoints, oldest first."""
    found = await ports.told.endpoints.page(merchant, asked.limit, asked.offset)
    data = [EndpointBody.of(endpoint) for endpoint in found.items]
    return ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset))


@router.get(_ONE, operation_id="getWebhookEndpoint", responses=failures(404))
async def get(id: str, merchant: Merchant, ports: Ports) -> EndpointBody:
    """Get an endpoint."""
    return EndpointBody.of(await ports.told.endpoints.get(merchant, checked(id)))


@router.patch(_ONE, operation_id="updateWebhookEndpoint", responses=failures(400, 404, 409, 413, 415))
async def update(id: str, body: EndpointChanges, merchant: Merchant, ports: Ports) -> EndpointBody:
    """Change an endpoint; enabling one that was gone gives it another try."""
    return EndpointBody.of(await changed(id, body, merchant, ports))


async def changed(id: str, body: EndpointChanges, merchant: str, ports: Backend) -> Endpoint:
    """The endpoint as it is then. Raises Invalid, Conflict, NotFound."""
    id = checked(id)
    changes = body.model_dump(exclude_unset=True)
    refuse_nulls(changes)
    if not changes:
        return await ports.told.endpoints.get(merchant, id)
    return await ports.told.endpoints.update(merchant, id, _decided(changes, ports))


def _decided(changes: Mapping[str, Any], ports: Backend) -> dict[str, object]:
    decided = {name: value for name, value in changes.items() if name != "event_types"}
    if "url" in changes:
        _require_allowed(changes["url"], ports)
    if "event_types" in changes:
        decided["types"] = _types(changes["event_types"])
    if changes.get("enabled"):
        decided["gone"] = False
    return decided | {"updated_at": ports.clock.now()}


@bodiless.post(f"{_ONE}/secret", operation_id="replaceWebhookEndpointSecret", responses=failures(404, 413))
async def replace_secret(id: str, merchant: Merchant, ports: Ports) -> SignedEndpointBody:
    """Make a new secret; for a day what is sent is signed with the one before it, too."""
    return SignedEndpointBody.signed(*await with_new_secret(id, merchant, ports))


async def with_new_secret(id: str, merchant: str, ports: Backend) -> tuple[Endpoint, str]:
    """The endpoint and its new secret. Raises NotFound."""
    secret = new_secret()
    replaced = ports.told.endpoints.replace_secret(merchant, checked(id), secret, ports.clock.now())
    return await replaced, secret


@router.delete(_ONE, status_code=204, operation_id="deleteWebhookEndpoint", responses=failures(404))
async def delete(id: str, merchant: Merchant, ports: Ports) -> None:
    """Delete an endpoint, and all of its deliveries."""
    await ports.told.endpoints.delete(merchant, checked(id))


def checked(id: str) -> str:
    """`id` if it can be an endpoint's; NotFound otherwise."""
    return checked_id(id, "ep", "webhook endpoint")


def _types(asked: list[NoticeType]) -> tuple[NoticeType, ...]:
    return tuple(dict.fromkeys(asked))


def _require_allowed(url: str, ports: Backend) -> None:
    """Raises Invalid for a URL that nothing would ever be sent to."""
    refusal = ports.told.urls.refusal(url)
    if refusal is not None:
        raise Invalid.field("url", refusal)
