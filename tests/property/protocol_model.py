"""The exactly-once protocol in the smallest world that can break it, small enough to look everywhere in it.

Two workers, a log of two records, one table. A worker decides by aggregator.protocol and nothing else; the
catalog compares and sets; the table remembers tokens for a while, its server can crash between taking a
token and showing the rows, and answers can be cut. Time goes in whole ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, assert_never

from aggregator import protocol
from aggregator.protocol import (
    REPLAYED,
    Attempt,
    ClaimAgain,
    Confirm,
    Insert,
    InsertRules,
    Landed,
    Look,
    Wait,
    first_try,
)

LONGEST_INSERT: Final = 1  # ticks that an INSERT may be under way
RULES: Final = InsertRules(look_age=3.0, settle=LONGEST_INSERT + 1.0, young_age=1.0, confirm_age=0.0)
# A range is young, then is looked at, then what the look allows is on its way: a token outlives all of it.
TOKEN_WINDOW: Final = 1 + 3 + LONGEST_INSERT


class Violation(Exception):
    """A record counted twice, or given up before it was counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The protocol as it is; a mutant replaces one thing."""

    times: InsertRules = RULES
    fencing: bool = True
    marks: bool = True
    after_look: Callable[..., Attempt] = protocol.after_look
    after_insert: Callable[[Attempt], Attempt] = protocol.after_insert
    after_error: Callable[[Attempt], Attempt] = protocol.after_error


class Request(NamedTuple):
    """An INSERT under way; `owner` is None when nobody waits for its answer any more."""

    token: str
    first: int
    last: int
    sent_at: int
    committing: bool
    owner: int | None


class Worker(NamedTuple):
    """One that has claimed, and what it is doing: "plan", "settle", "decide", "send", "asked" or "wait"."""

    epoch: int
    first: int
    last: int = -1
    attempt: Attempt = REPLAYED
    doing: str = "plan"
    since: int = 0
    token: str = ""


class World(NamedTuple):
    """Everything there is; `faults` is how many more may happen."""

    now: int = 0
    epoch: int = 0
    next_offset: int = 0
    pending: int | None = None
    planned_at: int = 0
    rows: tuple[int, ...] = (0,)
    mark: int = -1
    tokens: frozenset[tuple[str, int]] = frozenset()
    requests: tuple[Request, ...] = ()
    workers: tuple[Worker | None, Worker | None] = (None, None)
    claims: int = 0
    faults: int = 0


def explore(rules: Rules, *, ticks: int, claims: int, faults: int, records: int = 1) -> int:
    """Look at every world that can be reached and return how many there are. Raises Violation."""
    start = World(rows=(0,) * records, faults=faults)
    met = {start}
    ahead = [start]  # taken from its end: a story is followed to where it breaks before the next is begun
    while ahead:
        for world in _followers(ahead.pop(), rules, ticks, claims):
            if world not in met:
                met.add(world)
                ahead.append(world)
    return len(met)


def _followers(world: World, rules: Rules, ticks: int, claims: int) -> Iterator[World]:
    if world.next_offset == len(world.rows) and not world.requests and world.workers == (None, None):
        return
    if world.now < ticks and not _must_happen_now(world):
        yield _forgetful(world._replace(now=world.now + 1))
    for slot, worker in enumerate(world.workers):
        if worker is None:
            first = world.claims or slot == 0  # the two are alike until one has claimed
            if first and world.claims < claims and world.next_offset < len(world.rows):
                yield _claimed(world, slot, rules)
        else:
            if world.faults:
                yield _killed(world, slot)
            yield from _worked(world, slot, worker, rules)
    for request in world.requests:
        yield from _served(world, request, rules)
    if world.faults and any(request.committing for request in world.requests):
        yield _crashed(world, rules)


def _must_happen_now(world: World) -> bool:
    """No INSERT runs longer than its limit, and nobody sleeps between a check and what it allows."""
    late = any(world.now - request.sent_at >= LONGEST_INSERT for request in world.requests)
    return late or any(one is not None and one.doing == "send" for one in world.workers)


def _forgetful(world: World) -> World:
    """Tokens go as early as they may: a later end of one is only a chance missed to double a record."""
    kept = frozenset(token for token in world.tokens if world.now - token[1] <= TOKEN_WINDOW)
    return world._replace(tokens=kept)


# --- workers ---


def _with(world: World, slot: int, worker: Worker | None) -> World:
    one, other = world.workers
    return world._replace(workers=(worker, other) if slot == 0 else (one, worker))


def _claimed(world: World, slot: int, rules: Rules) -> World:
    epoch = world.epoch + 1
    worker = Worker(epoch, world.next_offset)
    if world.pending is not None:
        young = world.now - world.planned_at <= rules.times.young_age
        worker = worker._replace(last=world.pending, doing="decide" if young else "settle", since=world.now)
    return _with(world._replace(epoch=epoch, claims=world.claims + 1), slot, worker)


def _killed(world: World, slot: int) -> World:
    requests = tuple(one._replace(owner=None) if one.owner == slot else one for one in world.requests)
    return _with(world._replace(requests=requests, faults=world.faults - 1), slot, None)


def _owns(world: World, worker: Worker, rules: Rules) -> bool:
    return worker.epoch == world.epoch or not rules.fencing


def _worked(world: World, slot: int, worker: Worker, rules: Rules) -> Iterator[World]:
    match worker.doing:
        case "plan":
            yield from _planned(world, slot, worker, rules)
        case "decide":
            yield _decided(world, slot, worker, rules)
        case "send":
            request = Request(worker.token, worker.first, worker.last, world.now, False, slot)
            asking = worker._replace(doing="asked", since=world.now)
            yield _with(world._replace(requests=(*world.requests, request)), slot, asking)
        case "settle":
            if world.now - worker.since >= rules.times.settle:
                yield _with(world, slot, worker._replace(doing="decide"))
        case "wait":
            if world.now - worker.since >= rules.times.settle:
                attempt = protocol.after_wait(worker.attempt)
                yield _with(world, slot, worker._replace(attempt=attempt, doing="decide"))


def _planned(world: World, slot: int, worker: Worker, rules: Rules) -> Iterator[World]:
    if not _owns(world, worker, rules):
        yield _with(world, slot, None)
        return
    for last in range(worker.first, len(world.rows)):
        attempt = first_try(world.now)
        planned = worker._replace(last=last, attempt=attempt, doing="decide")
        yield _with(world._replace(pending=last, planned_at=world.now), slot, planned)


def _decided(world: World, slot: int, worker: Worker, rules: Rules) -> World:
    match protocol.decide(worker.attempt, world.now, rules.times):
        case Look():
            landed = world.mark >= worker.last if rules.marks else False
            attempt = rules.after_look(worker.attempt, landed=landed, asked_at=world.now)
            return _with(world, slot, worker._replace(attempt=attempt))
        case Confirm():
            if not _owns(world, worker, rules):
                return _with(world, slot, None)
            return _with(
                world,
                slot,
                worker._replace(attempt=protocol.after_confirm(worker.attempt, asked_at=world.now)),
            )
        case Insert(suffix):
            token = f"{worker.first}-{worker.last}{suffix}"
            return _with(world, slot, worker._replace(doing="send", since=world.now, token=token))
        case Wait():
            return _with(world, slot, worker._replace(doing="wait", since=world.now))
        case ClaimAgain():
            return _with(world, slot, None)
        case Landed():
            return _advanced(world, slot, worker, rules)
        case other:
            assert_never(other)


def _advanced(world: World, slot: int, worker: Worker, rules: Rules) -> World:
    if not _owns(world, worker, rules):
        return _with(world, slot, None)
    if 0 in world.rows[worker.first : worker.last + 1]:
        raise Violation(f"advanced over a record that was not counted: {world}")
    following = worker.last + 1
    world = world._replace(next_offset=following, pending=None)
    return _with(world, slot, Worker(worker.epoch, following) if following < len(world.rows) else None)


# --- the table's server ---


def _served(world: World, request: Request, rules: Rules) -> Iterator[World]:
    others = tuple(one for one in world.requests if one is not request)
    if not request.committing:
        if world.faults:  # it never arrives
            lost = world._replace(requests=others, faults=world.faults - 1)
            yield _answered(lost, request, rules, success=False)
        if any(token == request.token for token, _ in world.tokens):
            yield _answered(world._replace(requests=others), request, rules, success=True)
        else:
            taken = world.tokens | {(request.token, world.now)}
            yield world._replace(requests=(*others, request._replace(committing=True)), tokens=taken)
        if world.faults and request.owner is not None:  # the sender gives up while it is still on its way
            gone = (*others, request._replace(owner=None))
            yield _answered(
                world._replace(requests=gone, faults=world.faults - 1), request, rules, success=False
            )
        return
    shown = _shown(world._replace(requests=others), request)
    yield _answered(shown, request, rules, success=True)
    if world.faults:  # the answer is cut
        yield _answered(shown._replace(faults=world.faults - 1), request, rules, success=False)


def _shown(world: World, request: Request) -> World:
    rows = list(world.rows)
    for offset in range(request.first, request.last + 1):
        rows[offset] += 1
    if max(rows) > 1:
        raise Violation(f"a record is counted twice: {world}, {request}")
    return world._replace(rows=tuple(rows), mark=max(world.mark, request.last))


def _answered(world: World, request: Request, rules: Rules, *, success: bool) -> World:
    if request.owner is None:
        return world
    worker = world.workers[request.owner]
    assert worker is not None
    attempt = rules.after_insert(worker.attempt) if success else rules.after_error(worker.attempt)
    return _with(world, request.owner, worker._replace(attempt=attempt, doing="decide"))


def _crashed(world: World, rules: Rules) -> World:
    """Whatever was being committed leaves its token, without its rows."""
    crashed = world._replace(
        requests=tuple(one for one in world.requests if not one.committing), faults=world.faults - 1
    )
    for request in world.requests:
        if request.committing:
            crashed = _answered(crashed, request, rules, success=False)
    return crashed
