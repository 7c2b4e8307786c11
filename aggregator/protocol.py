"""What to do next to bring one block into its table exactly once: state in, decision out.

A table drops a block whose token it remembers, but it may have forgotten the token, or (a crash between
the two) hold the token without the rows. So a token is never trusted alone: the mark inside the block
tells whether it landed.

                            ┌──────────── too old ────────────▶ ClaimAgain
    first try ──▶ INSERT ───┤── answered ─────────────────────▶ Landed
                    ▲       └── error ──▶ LOOK
    replay ──▶ LOOK ┴ absent: INSERT ── answered ──▶ VERIFY ── there ──▶ Landed
                                                       └ absent: WAIT ─▶ LOOK ─ absent: INSERT ':retry'
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, assert_never

from meterhouse.domain.block import Block
from meterhouse.ports import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertRules:
    """Times that must fit the store, in seconds on a monotonic clock that counts sleep.

    `look_age` is half of what the tables' token windows are sure to cover. `settle` is longer than any
    INSERT may run: after it, a block that is not there will not appear.
    """

    look_age: float = 1800.0
    settle: float = 75.0


class _Phase(Enum):
    LOOK = auto()  # nothing is known of the block
    INSERT = auto()
    VERIFY = auto()  # the answer was a success, but the token alone may have made it one
    WAIT = auto()
    LOOK_AGAIN = auto()  # whoever was still committing has finished
    LANDED = auto()


@dataclass(frozen=True, slots=True)
class Attempt:
    """How far one block has come. `looked_at` is when its absence was last established from nothing."""

    phase: _Phase
    looked_at: float = 0.0
    retries: int = 0
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """Ask whether the block's mark is in its table."""


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


Decision = Look | Insert | Wait | ClaimAgain | Landed

REPLAYED: Final = Attempt(_Phase.LOOK)


def first_try(planned_at: float) -> Attempt:
    """A block that nobody can have sent before, since its range was planned only now."""
    return Attempt(_Phase.INSERT, planned_at, sure=True)


def decide(attempt: Attempt, now: float, rules: InsertRules) -> Decision:
    """The one thing to do next."""
    match attempt.phase:
        case _Phase.LOOK | _Phase.VERIFY | _Phase.LOOK_AGAIN:
            return Look()
        case _Phase.INSERT:
            if now - attempt.looked_at > rules.look_age:
                return ClaimAgain()
            return Insert(":retry" * attempt.retries)
        case _Phase.WAIT:
            return Wait(rules.settle)
        case _Phase.LANDED:
            return Landed()
    assert_never(attempt.phase)


def after_look(attempt: Attempt, *, landed: bool, asked_at: float) -> Attempt:
    """The table answered a look that was sent at `asked_at`."""
    if landed:
        return replace(attempt, phase=_Phase.LANDED)
    match attempt.phase:
        case _Phase.VERIFY:
            return replace(attempt, phase=_Phase.WAIT)
        case _Phase.LOOK_AGAIN:
            # Not a younger look: the plain token's protection still dates from the first one.
            return replace(attempt, phase=_Phase.INSERT, retries=attempt.retries + 1)
        case _:
            return Attempt(_Phase.INSERT, asked_at)


def after_insert(attempt: Attempt) -> Attempt:
    """The INSERT was answered with success."""
    return replace(attempt, phase=_Phase.LANDED if attempt.sure else _Phase.VERIFY)


def after_error(attempt: Attempt) -> Attempt:
    """The INSERT was answered with an error or not at all: it may have landed, or may yet."""
    return replace(attempt, phase=_Phase.LOOK, retries=0, sure=False)


def after_wait(attempt: Attempt) -> Attempt:
    """The time a Wait asked for has passed."""
    return replace(attempt, phase=_Phase.LOOK_AGAIN)


def token_of(log_id: str, planned: Progress, block: Block) -> str:
    """`log_id:stream:first-last:table:month`: the same for every try of the same block."""
    span = f"{planned.next_offset}-{planned.pending_last}"
    return f"{log_id}:{block.stream}:{span}:{block.table}:{block.month}"
