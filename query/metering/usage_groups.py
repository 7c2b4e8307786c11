"""Which groups an answer shows: in which order, and from where on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.errors import Invalid
from meterhouse.domain.usage import GroupTotal
from query.cursors import no_cursor, read_cursor, write_cursor
from query.metering.usage_asked import OrderBy

Group = tuple[str, ...]
_RANK: Mapping[OrderBy, Callable[[Decimal], Decimal]] = {
    OrderBy.LARGEST: Decimal.copy_negate,
    OrderBy.SMALLEST: Decimal,
    OrderBy.FIRST: lambda _: Decimal(0),
    OrderBy.LAST: lambda _: Decimal(0),
}


@dataclass(frozen=True, slots=True)
class GroupPage:
    """Groups that are shown, how many there are in all, and where the next page begins."""

    shown: Sequence[GroupTotal]
    total: int
    cursor: str | None


class _Cursor(msgspec.Struct, array_like=True, frozen=True):
    """The last group of a page. Groups that overtake it meanwhile are shown twice or not, others once."""

    order: str
    names: Group
    value: Decimal
    group: Group


def page_of(
    groups: Sequence[GroupTotal],
    aggregation: Aggregation,
    *,
    order: OrderBy,
    names: Group,
    limit: int,
    after: str | None,
) -> GroupPage:
    """At most `limit` groups after the cursor. Raises Invalid for a cursor of another question."""

    def place(value: Decimal, group: Group) -> tuple[Decimal, Group]:
        return _RANK[order](value), group

    def place_of(one: GroupTotal) -> tuple[Decimal, Group]:
        return place(one.reading.value(aggregation), one.group)

    backwards = order is OrderBy.LAST
    ordered = left = sorted(groups, key=place_of, reverse=backwards)
    if after is not None:
        cursor = _read(after, order, names)
        last = place(cursor.value, cursor.group)
        left = [one for one in ordered if (place_of(one) < last if backwards else place_of(one) > last)]
    shown = left[:limit]
    more = len(left) > limit
    return GroupPage(shown, len(ordered), _write(shown[-1], aggregation, order, names) if more else None)


def _write(last: GroupTotal, aggregation: Aggregation, order: OrderBy, names: Group) -> str:
    return write_cursor(_Cursor(order.value, names, last.reading.value(aggregation), last.group))


def _read(text: str, order: OrderBy, names: Group) -> _Cursor:
    cursor = read_cursor(text, _Cursor)
    if (cursor.order, cursor.names) != (order.value, names) or len(cursor.group) != len(names):
        raise Invalid.field("cursor", "is of another question; keep groupBy and orderBy as they were")
    if not cursor.value.is_finite():
        raise no_cursor()
    return cursor
