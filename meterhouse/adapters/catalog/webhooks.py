"""Whether merchants are told, and where."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import hold_catalog
from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.entitlement_models import EntitlementRow
from meterhouse.adapters.catalog.notices import make_due
from meterhouse.adapters.catalog.own_rows import own_row
from meterhouse.adapters.catalog.pages import read_page
from meterhouse.adapters.catalog.webhook_models import DeliveryRow, EndpointRow, WebhooksRow
from meterhouse.domain.errors import Conflict, Duplicate, NotFound
from meterhouse.domain.instant import DAY, Instant
from meterhouse.domain.webhook import Endpoint, NoticeType, Webhooks
from meterhouse.ports.catalog import Page

MOST_ENDPOINTS: Final = 50  # of one merchant
OLD_SECRET_LASTS: Final = DAY


class CatalogWebhooks:
    """Implements WebhookCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enable(self, webhooks: Webhooks) -> Webhooks:
        return await self._database.write(partial(_enable, webhooks))

    async def get(self, merchant_id: str) -> Webhooks:
        return await self._database.read(lambda session: _webhooks_of(_webhooks_row(session, merchant_id)))

    async def switch(self, merchant_id: str, *, enabled: bool, at: Instant) -> Webhooks:
        def write(session: Session) -> Webhooks:
            hold_catalog(session)
            row = _webhooks_row(session, merchant_id)
            row.enabled, row.updated_at = enabled, at
            _look_at_all(session, merchant_id)
            return _webhooks_of(row)

        return await self._database.write(write)


class CatalogEndpoints:
    """Implements EndpointCatalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, endpoint: Endpoint, secret: str) -> Endpoint:
        return await self._database.write(partial(_create, endpoint, secret))

    async def get(self, merchant_id: str, id: str) -> Endpoint:
        return await self._database.read(lambda session: endpoint_of(_endpoint_row(session, merchant_id, id)))

    async def page(self, merchant_id: str, limit: int, offset: int) -> Page[Endpoint]:
        chosen = (
            select(EndpointRow)
            .where(EndpointRow.merchant_id == merchant_id)
            .order_by(EndpointRow.created_at, EndpointRow.id)
        )

        def read(session: Session) -> Page[Endpoint]:
            rows, total = read_page(session, chosen, limit, offset)
            return Page(tuple(map(endpoint_of, rows)), total)

        return await self._database.read(read)

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, object]) -> Endpoint:
        return await self._database.write(partial(_update, merchant_id, id, changes))

    async def replace_secret(self, merchant_id: str, id: str, secret: str, at: Instant) -> Endpoint:
        def write(session: Session) -> Endpoint:
            hold_catalog(session)
            row = _endpoint_row(session, merchant_id, id)
            row.old_secret, row.old_secret_until = row.secret, at + OLD_SECRET_LASTS
            row.secret, row.updated_at = secret, at
            return endpoint_of(row)

        return await self._database.write(write)

    async def delete(self, merchant_id: str, id: str) -> None:
        def write(session: Session) -> None:
            hold_catalog(session)
            row = _endpoint_row(session, merchant_id, id)
            session.execute(delete(DeliveryRow).where(DeliveryRow.endpoint_id == id))
            session.delete(row)

        await self._database.write(write)


def _enable(webhooks: Webhooks, session: Session) -> Webhooks:
    hold_catalog(session)
    if session.get(WebhooksRow, webhooks.merchant_id) is not None:
        raise Duplicate("webhooks are there already; turn them on or off by an update")
    session.add(
        WebhooksRow(
            merchant_id=webhooks.merchant_id,
            application_id=webhooks.application_id,
            enabled=webhooks.enabled,
            created_at=webhooks.created_at,
            updated_at=webhooks.updated_at,
        )
    )
    return webhooks


def _create(endpoint: Endpoint, secret: str, session: Session) -> Endpoint:
    hold_catalog(session)
    _webhooks_row(session, endpoint.merchant_id)
    mine = EndpointRow.merchant_id == endpoint.merchant_id
    if session.scalars(select(func.count()).select_from(EndpointRow).where(mine)).one() >= MOST_ENDPOINTS:
        raise Conflict(f"there are {MOST_ENDPOINTS} endpoints already, and no more are allowed")
    _require_free(session, endpoint.merchant_id, endpoint.url, endpoint.id)
    session.add(
        EndpointRow(
            id=endpoint.id,
            merchant_id=endpoint.merchant_id,
            url=endpoint.url,
            description=endpoint.description,
            types=list(endpoint.types),
            enabled=endpoint.enabled,
            gone=endpoint.gone,
            secret=secret,
            created_at=endpoint.created_at,
            updated_at=endpoint.updated_at,
        )
    )
    _look_at_all(session, endpoint.merchant_id)
    return endpoint


def _update(merchant_id: str, id: str, changes: Mapping[str, object], session: Session) -> Endpoint:
    hold_catalog(session)
    row = _endpoint_row(session, merchant_id, id)
    url = changes.get("url", row.url)
    assert isinstance(url, str), "a URL is text"
    _require_free(session, merchant_id, url, id)
    for field, value in changes.items():
        setattr(row, field, list(value) if isinstance(value, tuple) else value)
    _look_at_all(session, merchant_id)
    return endpoint_of(row)


def _require_free(session: Session, merchant_id: str, url: str, id: str) -> None:
    """Raises Conflict where another endpoint has the URL."""
    taken = select(EndpointRow.id).where(
        EndpointRow.merchant_id == merchant_id, EndpointRow.url == url, EndpointRow.id != id
    )
    other = session.scalars(taken).one_or_none()
    if other is not None:
        raise Conflict(f"the endpoint {other} has that URL already")


def _look_at_all(session: Session, merchant_id: str) -> None:
    """Let what came about while nobody was told be found."""
    make_due(session, EntitlementRow.merchant_id == merchant_id)


def _webhooks_row(session: Session, merchant_id: str) -> WebhooksRow:
    row = session.get(WebhooksRow, merchant_id)
    if row is None:
        raise NotFound("webhooks have never been enabled")
    return row


def _endpoint_row(session: Session, merchant_id: str, id: str) -> EndpointRow:
    """The merchant's endpoint. Raises NotFound, also when it is another merchant's."""
    return own_row(session, EndpointRow, merchant_id, id, called="webhook endpoint")


def _webhooks_of(row: WebhooksRow) -> Webhooks:
    return Webhooks(
        merchant_id=row.merchant_id,
        application_id=row.application_id,
        enabled=row.enabled,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def endpoint_of(row: EndpointRow) -> Endpoint:
    return Endpoint(
        id=row.id,
        merchant_id=row.merchant_id,
        url=row.url,
        description=row.description,
        types=tuple(map(NoticeType, row.types)),
        enabled=row.enabled,
        gone=row.gone,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
