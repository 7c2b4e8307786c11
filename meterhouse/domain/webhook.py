"""Webhooks: what merchants are told, where to, and how each telling went.

A notice is one thing that a merchant is told. It has a delivery for every endpoint that wants its type.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from meterhouse.domain.instant import Instant


class NoticeType(StrEnum):
    """What a notice tells of; the `type` of its payload."""

    BALANCE_THRESHOLD = "entitlement.balance_threshold"
    BALANCE_EXHAUSTED = "entitlement.balance_exhausted"
    RESET = "entitlement.reset"
    GRANT_CREATED = "grant.created"
    GRANT_VOIDED = "grant.voided"
    GRANT_EXPIRED = "grant.expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """That a merchant wants to be told. Paused (not `enabled`), what there is to tell waits."""

    merchant_id: str
    application_id: str
    enabled: bool
    created_at: Instant
    updated_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to tell. Without `types` it wants all; one that answered 410 is `gone`, and disabled.

    Its secrets are not a part of it, so that nobody shows them by accident.
    """

    id: str
    merchant_id: str
    url: str
    description: str = ""
    types: tuple[NoticeType, ...] = ()
    enabled: bool = True
    gone: bool = False
    created_at: Instant
    updated_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell: `payload` is the JSON text that every receiver gets, and `at` when it came about.

    Of notices with the same `mark` of one entitlement only the first is ever told; None: of no other's.
    """

    id: str
    merchant_id: str
    type: NoticeType
    at: Instant
    payload: str
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """What a notice that is found by looking is known by, for ever."""

    entitlement_id: str
    text: str


class DeliveryState(StrEnum):
    """Pending until an attempt succeeds; dead after the last attempt, until it is replayed."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The way of a notice to an endpoint.

    `next_at` is when a pending one is due. `last_status` is the HTTP status of the last attempt, None where
    there was no answer; then `last_error` says why.
    """

    id: str
    endpoint_id: str
    notice: Notice
    state: DeliveryState
    attempts: int
    next_at: Instant | None
    last_attempt_at: Instant | None
    last_status: int | None
    last_error: str | None
    created_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """An attempt that was made: what was answered, or in `error` why nothing was."""

    at: Instant
    status: int | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries; all of the merchant's where nothing is said."""

    endpoint_id: str | None = None
    notice_id: str | None = None
    state: DeliveryState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A delivery that is claimed until `lease`, with all that an attempt needs.

    `attempts` were made before. The payload is signed with each of `secrets`: for a day after a new one was
    made, with the one before it too.
    """

    delivery_id: str
    endpoint_id: str
    notice_id: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    payload: str = field(repr=False)
    attempts: int
    lease: Instant


@dataclass(frozen=True, slots=True)
class Answered:
    """The receiver answered, and perhaps asked not to be tried again before an instant."""

    status: int
    not_before: Instant | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No whole answer came; `reason` is for the merchant to read."""

    reason: str


Answer = Answered | Unanswered


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How an attempt went, and what follows: `next_at` is None where nothing does."""

    at: Instant
    answer: Answer
    state: DeliveryState
    next_at: Instant | None = None
    gone: bool = False
