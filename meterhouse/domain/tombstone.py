"""What resets hide: events stay in the log, and a tombstone says which of them count no more.

A tombstone's position is an instant of receive time. It is over all events of its merchant, or over those of
one subject, and hides those of them that were received before it. A merchant may be reset again and again;
an event is hidden if any tombstone hides it.

Its *generation* is the last tombstone over it that does not hide it. An identity is one of its generation:
the same id sent again after a reset is another event (ADR 0013).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from meterhouse.domain.instant import Instant

Whose = tuple[str, str]  # a subject, or "" and an external subject; ("", "") is everybody

EVERYBODY: Final[Whose] = ("", "")
FIRST: Final[Instant] = 0  # the generation of what no tombstone came before


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Hides what was received before `at`, of `whose`."""

    at: Instant
    whose: Whose = EVERYBODY


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Those of one merchant. `over` has the instants of each `whose`, in order."""

    over: Mapping[Whose, tuple[Instant, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, tombstones: Iterable[Tombstone]) -> Tombstones:
        found: dict[Whose, list[Instant]] = {}
        for one in tombstones:
            found.setdefault(one.whose, []).append(one.at)
        return cls({whose: tuple(sorted(ats)) for whose, ats in found.items()})

    def __bool__(self) -> bool:
        return bool(self.over)

    @property
    def since(self) -> Instant:
        """Everything that was received before it is hidden, whoever's it is."""
        return self._last(EVERYBODY)

    @property
    def lasting(self) -> Mapping[Whose, Instant]:
        """Of everyone with a tombstone of their own, after the last one over everybody, the last."""
        since = self.since
        lasts = {whose: ats[-1] for whose, ats in self.over.items() if whose != EVERYBODY}
        return {whose: at for whose, at in lasts.items() if at > since}

    def instants(self) -> list[Instant]:
        """Every generation that an event of the merchant may be of."""
        return sorted({FIRST, *[at for ats in self.over.values() for at in ats]})

    def hidden_by(self, subject: str, external_subject: str, received_at: Instant) -> Instant | None:
        """The last tombstone that hides such an event."""
        last = max(self.since, self._last(_whose(subject, external_subject)))
        return last if received_at < last else None

    def generation(self, subject: str, external_subject: str, received_at: Instant) -> Instant:
        """The last tombstone over such an event that came before it."""
        whose = _whose(subject, external_subject)
        return max(_last_until(self.over.get(one, ()), received_at) for one in (EVERYBODY, whose))

    def _last(self, whose: Whose) -> Instant:
        return self.over.get(whose, (FIRST,))[-1]


NO_TOMBSTONES: Final = Tombstones()


def _whose(subject: str, external_subject: str) -> Whose:
    """Whoever is known by a subject is not also known by an external one."""
    return (subject, "") if subject else ("", external_subject)


def _last_until(instants: tuple[Instant, ...], at: Instant) -> Instant:
    place = bisect_right(instants, at)
    return instants[place - 1] if place else FIRST
