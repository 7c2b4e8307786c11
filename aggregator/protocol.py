"""What to do next to bring one block into its table exactly once: state in, decision out.

A table drops a block whose token it remembers, but it may have forgotten the token, or (a crash between
the two) hold the token without the rows. So a token is never trusted alone: the mark inside the block
tells whether it landed.

                            ┌──────────── too old ────────────▶ ClaimAgain
    first try ──▶ INSERT ───┤── answered ─────────────────────▶ Landed
                    ▲       └── error ──▶ LOOK
    replay ──▶ LOOK ┴ absent: CONFIRM, INSERT ── answered ──▶ VERIFY ── there ──▶ Landed
                                       └ absent: WAIT ─▶ LOOK ─ absent: CONFIRM, INSERT ':retry'

CONFIRM asks the catalog whether the partition is still ours. Without it, a worker that was fenced after its
look could insert under a token that its successor met without rows, got round, and that was forgotten since.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Final, NamedTuple, assert_never

from meterhouse.domain.block import Block
from meterhouse.ports.counting import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertRules:
    """Times that must fit the store, in seconds on a monotonic clock that counts sleep.

    `look_age` is half of what the tables' token windows are sure to cover. `settle` is longer than any
    INSERT may run: after it, a block that is not there will not appear. A range that was planned within
    `young_age` has all of its tokens remembered until a replay of it is over. What the catalog
    confirmed is good for `confirm_age`: by the time `settle` is over, whoever owned the partition before has
    nothing on its way any more.
    """

    look_age: float = 1800.0
    settle: float = 75.0
    young_age: float = 900.0
    confirm_age: float = 5.0

    @classmethod
    def within(cls, seconds: float, *, settle: float) -> InsertRules:
        """The rules for tables that are sure to remember a token for that long."""
        return cls(look_age=seconds / 2, young_age=seconds / 4, settle=settle)


class _Phase(IntEnum):
    LOOK = auto()  # nothing is known of the block
    CONFIRM = auto()  # it is absent; whether the partition is still ours is not known
    INSERT = auto()
    VERIFY = auto()  # the answer was a success, but the token alone may have made it one
    WAIT = auto()
    LOOK_AGAIN = auto()  # whoever was still committing has finished
    LANDED = auto()


class Attempt(NamedTuple):
    """How far one block has come. `looked_at` is when its absence was last established from nothing.

    `sure` is a first try: nobody can have sent the block before.
    """

    phase: _Phase
    looked_at: float = 0.0
    retries: int = 0
    sure: bool = False
    confirmed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """Ask whether the block's mark is in its table."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Ask the catalog whether the partition is still ours."""


@dataclass(frozen=True, slots=True)
class Insert:
    """Send the block under its token with `suffix`."""

    suffix: str


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class ClaimAgain:
    """What was seen is too old to insert by: drop the batch."""


@dataclass(frozen=True, slots=True)
class Landed:
    """The table is up to the batch."""


Decision = Look | Confirm | Insert | Wait | ClaimAgain | Landed

REPLAYED: Final = Attempt(_Phase.LOOK)


def first_try(planned_at: float) -> Attempt:
    """A block that nobody can have sent before, since its range was planned only now."""
    return Attempt(_Phase.INSERT, planned_at, sure=True)


def decide(attempt: Attempt, now: float, rules: InsertRules) -> Decision:
    """The one thing to do next."""
    match attempt.phase:
        case _Phase.LOOK | _Phase.VERIFY | _Phase.LOOK_AGAIN:
            return Look()
        case _Phase.CONFIRM:
            return Confirm()
        case _Phase.INSERT:
            if now - attempt.looked_at > rules.look_age:
                return ClaimAgain()
            if not attempt.sure and now - attempt.confirmed_at > rules.confirm_age:
                return Confirm()
            return Insert(":retry" * attempt.retries)
        case _Phase.WAIT:
            return Wait(rules.settle)
        case _Phase.LANDED:
            return Landed()
    assert_never(attempt.phase)


def after_look(attempt: Attempt, *, landed: bool, asked_at: float) -> Attempt:
    """The table answered a look that was sent at `asked_at`."""
    if landed:
        return attempt._replace(phase=_Phase.LANDED)
    match attempt.phase:
        case _Phase.VERIFY:
            return attempt._replace(phase=_Phase.WAIT)
        case _Phase.LOOK_AGAIN:
            # Not a younger look: the plain token's protection still dates from the first one.
            return attempt._replace(phase=_Phase.CONFIRM, retries=attempt.retries + 1)
        case _:
            return Attempt(_Phase.CONFIRM, asked_at)


def after_confirm(attempt: Attempt, *, asked_at: float) -> Attempt:
    """The catalog answered, when it was asked at `asked_at`, that the partition is still ours."""
    return attempt._replace(phase=_Phase.INSERT, confirmed_at=asked_at)


def after_insert(attempt: Attempt) -> Attempt:
    """The INSERT was answered with success."""
    return attempt._replace(phase=_Phase.LANDED if attempt.sure else _Phase.VERIFY)


def after_error(attempt: Attempt) -> Attempt:
    """The INSERT was answered with an error or not at all: it may have landed, or may yet."""
    return attempt._replace(phase=_Phase.LOOK, retries=0, sure=False)


def after_wait(attempt: Attempt) -> Attempt:
    """The time a Wait asked for has passed."""
    return attempt._replace(phase=_Phase.LOOK_AGAIN)


def token_of(log_id: str, planned: Progress, block: Block) -> str:
    """`log_id:stream:first-last:table:month`: the same for every try of the same block."""
    span = f"{planned.next_offset}-{planned.pending_last}"
    return f"{log_id}:{block.stream}:{span}:{block.table}:{block.month}"
