"""One page of a list and how long the list is, of one moment: a read sees one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

R = TypeVar("R")


def read_page(session: Session, chosen: Select[R], limit: int, offset: int) -> tuple[Sequence[R], int]:
    """Some of the rows that `chosen` selects, in its order, and how many it selects in all."""
    total = session.scalars(select(func.count()).select_from(chosen.order_by(None).subquery())).one()
    return session.scalars(chosen.limit(limit).offset(offset)).all(), total
