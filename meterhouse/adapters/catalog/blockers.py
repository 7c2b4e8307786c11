"""What something cannot go without, for the answer that refuses to delete it (contract 1.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.pages import read_page
from meterhouse.domain.errors import Blocker, Conflict

R = TypeVar("R")

_SHOWN: Final = 10


def find_blocker(
    session: Session, type: str, chosen: Select[R], show: Callable[[R], Mapping[str, str | int]]
) -> tuple[Blocker, ...]:
    """One for the rows that `chosen` selects, or none where it selects none; the first ten are shown."""
    rows, count = read_page(session, chosen, _SHOWN, 0)
    return (Blocker(type, count, tuple([show(row) for row in rows])),) if count else ()


def refuse(what: str, *blockers: tuple[Blocker, ...]) -> None:
    """Raises Conflict where anything stands in the way of `what`, such as "deleting the fee fee_1"."""
    found = tuple([one for some in blockers for one in some])
    if found:
        told = " and ".join([f"{one.count} {one.type}" for one in found])
        raise Conflict(f"{what} is not possible while it has {told}", found)
