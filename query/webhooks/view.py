"""What a merchant's page of webhooks shows: endpoints, deliveries and how they went, as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal
from urllib.parse import urlencode

import msgspec

from meterhouse.domain.instant import Instant
from meterhouse.domain.webhook import (
    Delivery,
    DeliveryFilter,
    DeliveryState,
    Endpoint,
    NoticeType,
    PastAttempt,
)
from meterhouse.ports.catalog import Page
from query.page_words import Moment, moment, to_the_second

ROWS: Final = 20  # deliveries on a page


Tone = Literal["good", "plain", "bad"]

_TONES: Final[Mapping[DeliveryState, Tone]] = {
    DeliveryState.PENDING: "plain",
    DeliveryState.DELIVERED: "good",
    DeliveryState.DEAD: "bad",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """What every one of these pages has. `at` is the instant of what it shows."""

    merchant: str
    is_on: bool
    may_change: bool
    at: Moment
    link_ends: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointView:
    """An endpoint, and in a few words the state it is in; `seen` is which state of it that is."""

    id: str
    url: str
    description: str
    types: tuple[str, ...]
    state: str
    tone: Tone
    enabled: bool
    since: Moment
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """A delivery. `answer` is what came of the last attempt, `next` when there is another.

    `waits` says what a pending one waits for instead, where something is off.
    """

    id: str
    type: str
    webhook_id: str
    endpoint_id: str
    url: str
    state: DeliveryState
    tone: Tone
    came_about: Moment
    made: Moment
    attempts: int
    last: Moment | None
    answer: str
    next: Moment | None
    waits: str
    payload: str


@dataclass(frozen=True, slots=True)
class AttemptView:
    """An attempt, and what came of it."""

    at: Moment
    answer: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A link to other deliveries of the same list."""

    name: str
    href: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Some deliveries, newest first, and links to the others."""

    rows: tuple[DeliveryView, ...]
    choices: tuple[Choice, ...]
    total: int
    newer: str | None
    older: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What a form holds, and in `problem` why it was refused, with that status."""

    url: str = ""
    description: str = ""
    types: frozenset[str] = frozenset()
    problem: str = ""
    status: int = 200

    @property
    def boxes(self) -> tuple[tuple[str, bool], ...]:
        """Every type there is, and whether it is chosen."""
        return tuple([(str(one), one in self.types) for one in NoticeType])


def endpoint_view(endpoint: Endpoint) -> EndpointView:
    """The endpoint as it stands; it has no secret that anybody could see."""
    state, tone = _state(endpoint)
    return EndpointView(
        id=endpoint.id,
        url=endpoint.url,
        description=endpoint.description,
        types=tuple(map(str, endpoint.types)),
        state=state,
        tone=tone,
        enabled=endpoint.enabled,
        since=moment(endpoint.created_at),
        seen=str(endpoint.updated_at),
    )


def entered(endpoint: EndpointView) -> Entered:
    """The form with what the endpoint has."""
    return Entered(url=endpoint.url, description=endpoint.description, types=frozenset(endpoint.types))


def delivery_view(delivery: Delivery, endpoint: EndpointView, *, is_on: bool) -> DeliveryView:
    """The delivery as it stands, to that endpoint; `is_on` says whether webhooks are."""
    waits = "" if delivery.state is not DeliveryState.PENDING else _obstacle(endpoint, is_on=is_on)
    return DeliveryView(
        id=delivery.id,
        type=delivery.notice.type,
        webhook_id=delivery.notice.id,
        endpoint_id=endpoint.id,
        url=endpoint.url,
        state=delivery.state,
        tone=_TONES[delivery.state],
        came_about=to_the_second(delivery.notice.at),
        made=to_the_second(delivery.created_at),
        attempts=delivery.attempts,
        last=_maybe(delivery.last_attempt_at),
        answer=_answer(delivery.last_status, delivery.last_error),
        next=None if waits else _maybe(delivery.next_at),
        waits=waits,
        payload=msgspec.json.format(delivery.notice.payload, indent=2),
    )


def attempt_view(attempt: PastAttempt) -> AttemptView:
    return AttemptView(to_the_second(attempt.at), _answer(attempt.status, attempt.error))


def listed(
    found: Page[Delivery],
    endpoints: Mapping[str, EndpointView],
    wanted: DeliveryFilter,
    *,
    offset: int,
    is_on: bool,
) -> Listed:
    """The page of deliveries at `offset`; those of an endpoint that was just deleted are left out."""
    rows = [
        delivery_view(one, endpoints[one.endpoint_id], is_on=is_on)
        for one in found.items
        if one.endpoint_id in endpoints
    ]
    return Listed(
        rows=tuple(rows),
        choices=tuple([_choice(wanted, state) for state in (None, *DeliveryState)]),
        total=found.total,
        newer=_href(wanted, wanted.state, max(offset - ROWS, 0)) if offset else None,
        older=_href(wanted, wanted.state, offset + ROWS) if offset + ROWS < found.total else None,
    )


def _state(endpoint: Endpoint) -> tuple[str, Tone]:
    if endpoint.gone:
        return "Answered 410", "bad"
    return ("Enabled", "good") if endpoint.enabled else ("Disabled", "plain")


def _choice(wanted: DeliveryFilter, state: DeliveryState | None) -> Choice:
    name = "All" if state is None else state.capitalize()
    return Choice(name, _href(wanted, state, 0), state == wanted.state)


def _href(wanted: DeliveryFilter, state: DeliveryState | None, offset: int) -> str:
    """The same page with other deliveries: its address is the link's own, which no page repeats."""
    asked = {"endpoint": wanted.endpoint_id, "state": state, "offset": offset or None}
    return "?" + urlencode({name: value for name, value in asked.items() if value is not None})


def _obstacle(endpoint: EndpointView, *, is_on: bool) -> str:
    if not is_on:
        return "once webhooks are on"
    return "" if endpoint.enabled else "once the endpoint is enabled"


def _answer(status: int | None, error: str | None) -> str:
    if status is None:
        return error or ""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    return f"{status} {phrase}".rstrip()


def _maybe(instant: Instant | None) -> Moment | None:
    return None if instant is None else to_the_second(instant)
