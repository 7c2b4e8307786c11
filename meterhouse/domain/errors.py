"""Every failure that a caller may have to handle.

MeterhouseError
├── Rejected                the caller's fault; sending the same again fails again
│   ├── Invalid             a field is wrong: which, and why
│   ├── TooLarge            over a limit of size
│   ├── Unauthenticated     no key, or an unknown or revoked one
│   ├── Forbidden           the key's merchant may not do this
│   ├── NotFound            no such object for this merchant
│   ├── Conflict            contradicts what is stored
│   │   └── PriceCharged    subscriptions are charged by it
│   └── Duplicate           there can be one only, and it is there
├── Unavailable             a retry may help
│   ├── LogUnavailable      the event log did not take the events
│   ├── StoreUnavailable    ClickHouse did not answer, or answered with an error
│   ├── CatalogUnavailable  the catalog did not answer
│   ├── Overloaded          too many requests are waiting already
│   ├── TooManyRequests     too many of this merchant's are
│   └── NotYetCounted       the log is not counted up to the position asked for
├── NotMigrated             a store's tables are not those of this version; the message says what to run
├── Fenced                  another worker owns the partition now
└── LogBroken               the log and the catalog contradict each other; a person has to decide
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request: where, and what to do about it."""

    field: str
    message: str
    code: str = "invalid"
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Blocker:
    """A kind of object that something cannot go without: how many there are, and some of them."""

    type: str
    count: int
    items: tuple[Mapping[str, str | int], ...]


class MeterhouseError(Exception):
    """The root of the tree above."""


class Rejected(MeterhouseError):
    """The caller's fault."""


class Invalid(Rejected):
    """One or more fields are wrong."""

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems

    @classmethod
    def field(cls, field: str, message: str, code: str = "invalid") -> Invalid:
        return cls(f"{field}: {message}", (Problem(field, message, code),))


class TooLarge(Rejected):
    """Over a limit of size."""


class Unauthenticated(Rejected):
    """No key, or one that is not known."""


class Forbidden(Rejected):
    """The key's merchant may not do this."""


class NotFound(Rejected):
    """No such object for this merchant."""


class Conflict(Rejected):
    """Contradicts what is stored; `blockers` are what has to go first, and `code` is for programs."""

    def __init__(self, message: str, blockers: tuple[Blocker, ...] = (), code: str | None = None) -> None:
        super().__init__(message)
        self.blockers = blockers
        self.code = code


class PriceCharged(Conflict):
    """A price that live subscriptions are charged by: how many, and which of its fields would be others."""

    def __init__(self, price_id: str, fields: tuple[str, ...], subscription_count: int) -> None:
        told = f"{subscription_count} subscriptions are charged by the price {price_id}"
        super().__init__(f"{told}, which can have no other {', '.join(fields)}: make another price")
        self.price_id = price_id
        self.fields = fields
        self.subscription_count = subscription_count


class Duplicate(Rejected):
    """There can be one only, and it is there already."""


class Unavailable(MeterhouseError):
    """A retry may help."""


class LogUnavailable(Unavailable):
    """The event log did not take the events; none of them is in it, or a retry repeats them harmlessly."""


class StoreUnavailable(Unavailable):
    """ClickHouse did not answer, or answered with an error."""


class CatalogUnavailable(Unavailable):
    """The catalog did not answer."""


class Overloaded(Unavailable):
    """Too many requests are waiting already."""


class TooManyRequests(Unavailable):
    """Too many requests of this merchant are waiting already."""


class NotYetCounted(Unavailable):
    """The log is not counted up to the position that the reader asked for."""


class NotMigrated(MeterhouseError):
    """A store's tables are not those that this version works with; the message says what to run."""


class Fenced(MeterhouseError):
    """Another worker owns the partition now."""


class LogBroken(MeterhouseError):
    """The log and the catalog contradict each other; the message names what to run."""
