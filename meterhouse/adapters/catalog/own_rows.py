"""A merchant's own rows, by id. Those of another merchant are not there for whoever asks."""

from __future__ import annotations

from typing import Protocol, TypeVar

from sqlalchemy.orm import Session

from meterhouse.domain.errors import NotFound
from meterhouse.domain.instant import Instant


class Owned(Protocol):
    """A row that belongs to one merchant."""

    @property
    def merchant_id(self) -> str: ...


class Deletable(Owned, Protocol):
    """One that stays when it is deleted."""

    @property
    def deleted_at(self) -> Instant | None: ...


R = TypeVar("R", bound=Owned)
L = TypeVar("L", bound=Deletable)


def find_own(
    session: Session, kind: type[R], merchant_id: str, id: str, *, populate_existing: bool = False
) -> R | None:
    """The merchant's row of that id, deleted or not; none also where it is another merchant's."""
    row = session.get(kind, id, populate_existing=populate_existing)
    return None if row is None or row.merchant_id != merchant_id else row


def own_row(
    session: Session,
    kind: type[R],
    merchant_id: str,
    id: str,
    *,
    called: str,
    populate_existing: bool = False,
) -> R:
    """The same. Raises NotFound where there is none, with what such a row is called."""
    row = find_own(session, kind, merchant_id, id, populate_existing=populate_existing)
    if row is None:
        raise NotFound(f"there is no {called} {id}")
    return row


def own_live_row(session: Session, kind: type[L], merchant_id: str, id: str, *, called: str) -> L:
    """The same, and NotFound when it is deleted."""
    row = own_row(session, kind, merchant_id, id, called=called)
    if row.deleted_at is not None:
        raise NotFound(f"there is no {called} {id}")
    return row
