"""What a look at an entitlement finds to tell: what has come about since the look before.

A look is at the instants at which a period of the entitlement was about to end, or began, and at now. Each
finding has a mark, so that the next look, or another one at the same time, finds nothing that was told:

* A reset, and the expiry of a grant, are found once each.
* A threshold, and the end of a balance, are found once in a period for so many grants as there were: a grant
  that begins to add makes them news again, and a late event or a void does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from meterhouse.domain.balance import Balance
from meterhouse.domain.entitlement import Entitlement, Status
from meterhouse.domain.grant import Grant
from meterhouse.domain.holding import Holding
from meterhouse.domain.instant import LATEST, Instant
from meterhouse.domain.threshold import is_exhausted, thresholds_of
from meterhouse.domain.webhook import Mark, NoticeType

MOST_RESETS: Final = 10  # of one look; the next goes on from there


@dataclass(frozen=True, slots=True)
class Sighting:
    """An entitlement at an instant: its balance, None of what is not metered, and the JSON it is shown as."""

    at: Instant
    balance: Balance | None
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What there is to tell, and when it came about: of a `sighting`, or else of a `grant`."""

    type: NoticeType
    at: Instant
    mark: Mark
    sighting: Sighting | None = None
    grant: Grant | None = None
    details: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """From the look before, not included, to this one, included."""

    since: Instant
    until: Instant


def span_of(holding: Holding, since: Instant, now: Instant) -> Span:
    """What one look is over: up to `now`, or to the last of as many resets as one look bears."""
    resets = _resets(holding.entitlement, Span(since, now))
    return Span(since, now if len(resets) <= MOST_RESETS else resets[MOST_RESETS - 1])


def instants_of(holding: Holding, span: Span) -> tuple[Instant, ...]:
    """When the entitlement has to be seen: just before each reset, at it, and at the end; ascending."""
    if holding.billable_metric_id is None or not _is_told_of(holding.entitlement, span.until):
        return ()
    around = {instant for reset in _resets(holding.entitlement, span) for instant in (reset - 1, reset)}
    return tuple(sorted(around | {span.until}))


def findings(holding: Holding, span: Span, sightings: Sequence[Sighting]) -> Iterator[Finding]:
    """What there is to tell of those sightings, one of each of `instants_of`; expiries last."""
    if not sightings:
        return
    resets = frozenset(_resets(holding.entitlement, span))
    for sighting in sightings:
        if sighting.at in resets:
            yield _reset(holding.entitlement, sighting)
        else:
            yield from _of_balance(holding, sighting)
    for grant in holding.grants:
        if _expired(holding.entitlement, grant, span):
            mark = Mark(holding.entitlement.id, f"{NoticeType.GRANT_EXPIRED} {grant.id}")
            assert grant.expires_at is not None, "it has expired"
            yield Finding(type=NoticeType.GRANT_EXPIRED, at=grant.expires_at, mark=mark, grant=grant)


def next_change(holding: Holding, after: Instant) -> Instant | None:
    """When time alone changes something next, or LATEST.

    None where nothing ever will: of what is not metered, and of what is over by then.
    """
    entitlement = holding.entitlement
    if holding.billable_metric_id is None or entitlement.status(after) is not Status.ACTIVE:
        return None
    changes = [entitlement.active_from]
    if entitlement.recurrence is not None and (reset := entitlement.recurrence.first_after(after)):
        changes.append(reset)
    for grant in holding.grants:
        changes += [grant.effective_at, *([] if grant.ends_at is None else [grant.ends_at])]
    return min((change for change in changes if change > after), default=LATEST)


def _is_told_of(entitlement: Entitlement, at: Instant) -> bool:
    """Nothing is told of what has not begun, or is over."""
    return entitlement.active_from <= at and entitlement.status(at) is Status.ACTIVE


def _resets(entitlement: Entitlement, span: Span) -> tuple[Instant, ...]:
    return tuple(reset for reset in entitlement.resets_by(span.until) if reset > span.since)


def _reset(entitlement: Entitlement, sighting: Sighting) -> Finding:
    mark = Mark(entitlement.id, f"{NoticeType.RESET} {sighting.at}")
    return Finding(type=NoticeType.RESET, at=sighting.at, mark=mark, sighting=sighting)


def _of_balance(holding: Holding, sighting: Sighting) -> Iterator[Finding]:
    balance, entitlement = sighting.balance, holding.entitlement
    if balance is None:
        return
    period = f"{entitlement.current_period(sighting.at).start} {_begun(holding, sighting.at)}"
    for threshold in thresholds_of(entitlement.metadata, holding.feature.metadata):
        if threshold.is_reached(balance):
            yield Finding(
                type=NoticeType.BALANCE_THRESHOLD,
                at=sighting.at,
                mark=Mark(entitlement.id, f"{NoticeType.BALANCE_THRESHOLD} {period} {threshold}"),
                sighting=sighting,
                details={"threshold": str(threshold)},
            )
    if is_exhausted(balance):
        mark = Mark(entitlement.id, f"{NoticeType.BALANCE_EXHAUSTED} {period}")
        yield Finding(type=NoticeType.BALANCE_EXHAUSTED, at=sighting.at, mark=mark, sighting=sighting)


def _begun(holding: Holding, at: Instant) -> int:
    """How many grants have begun by then, those among them that have ended."""
    return sum(grant.effective_at <= at for grant in holding.grants)


def _expired(entitlement: Entitlement, grant: Grant, span: Span) -> bool:
    """Whether it was active, and expired in the span."""
    expires_at = grant.expires_at
    if expires_at is None or grant.ends_by_void or not span.since < expires_at <= span.until:
        return False
    return max(grant.effective_at, entitlement.active_from) < expires_at
