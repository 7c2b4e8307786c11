"""Ask for a version that is not being replaced meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Final, TypeVar

from meterhouse.domain.billable_metric import Definition, VersionState
from meterhouse.domain.errors import Invalid, StoreUnavailable
from meterhouse.domain.instant import Instant
from meterhouse.domain.position import Position, render_positions
from meterhouse.domain.window import Window
from meterhouse.ports.metrics import Serving
from query.backend import Backend, Measuring
from query.freshness import Patience

T = TypeVar("T")

STATE: Final = "Meterhouse-Version-State"
COUNTED: Final = "Meterhouse-Counted"

_TRIES: Final = 3


def period_of(start: Instant, end: Instant) -> Window:
    """[start, end); equal bounds are an empty period (contract 10.2, decision 25)."""
    if start > end:
        raise Invalid.field("from", "must not be after to")
    return Window(start, end)


async def fresh_serving(
    backend: Backend, merchant: str, id: str, positions: Sequence[Position]
) -> tuple[Serving, dict[str, str]]:
    """The metric once `positions` are counted, and the headers that say how fresh its answer is."""
    current = partial(backend.metrics.get, merchant, id)
    serving = await current()
    if positions:
        patience = Patience(backend, positions)
        await patience.for_positions()
        await patience.for_version(serving, current)
        serving = await current()
    return serving, await counted_header(backend)


async def counted_header(backend: Backend) -> dict[str, str]:
    """Says how far the log is counted by now, so at least in whatever is asked for next."""
    counted = await backend.watermark.counted()
    return {COUNTED: render_positions(tuple(Position(*one) for one in sorted(counted.items())))}


async def fresh_servings(backend: Backend, merchant: str, positions: Sequence[Position]) -> Sequence[Serving]:
    """Every metric of the merchant once the positions are counted, under the definitions of now."""
    if not positions:
        return await backend.directory.serving(merchant)
    patience = Patience(backend, positions)
    arrived = await backend.directory.serving(merchant)
    await patience.for_positions()
    await patience.for_versions(merchant, arrived)
    return await backend.directory.serving(merchant)


async def steady(
    backend: Backend, serving: Serving, ask: Callable[[Definition], Awaitable[T]]
) -> tuple[Serving, T]:
    """What `ask` finds under the definition that is shown both before and after the asking.

    When a new version becomes active, the rows of the old one go; an answer from in between is no answer.
    """
    metric = serving.metric

    async def current() -> Sequence[Serving]:
        return [await backend.metrics.get(metric.merchant_id, metric.id)]

    async def ask_one(servings: Sequence[Serving]) -> T:
        return await ask(servings[0].shown.definition)

    [serving], answer = await _steady([serving], current, ask_one, f"the definition of {metric.id}")
    return serving, answer


async def steady_all(backend: Backend, merchant: str, ask: Callable[[Sequence[Serving]], Awaitable[T]]) -> T:
    """The same for all that a merchant counts."""
    current = partial(backend.directory.serving, merchant)
    _, answer = await _steady(await current(), current, ask, "what is counted")
    return answer


async def steady_some(
    backend: Measuring, merchant: str, ids: Sequence[str], ask: Callable[[Sequence[Serving]], Awaitable[T]]
) -> T:
    """The same for some of them."""

    async def current() -> Sequence[Serving]:
        return [await backend.metrics.get(merchant, id) for id in ids]

    _, answer = await _steady(await current(), current, ask, f"the definition of {' or '.join(ids)}")
    return answer


async def steady_remaining(
    backend: Backend, merchant: str, ids: Collection[str], ask: Callable[[Sequence[Serving]], Awaitable[T]]
) -> tuple[Sequence[Serving], T]:
    """The same for those of a merchant's metrics that have these ids, while they are there."""
    current = partial(servings_of, backend, merchant, ids)
    return await _steady(await current(), current, ask, "what is counted")


async def servings_of(backend: Backend, merchant: str, ids: Collection[str]) -> Sequence[Serving]:
    """Those of the merchant's metrics that have these ids."""
    return [one for one in await backend.directory.serving(merchant) if one.metric.id in ids]


async def _steady(
    servings: Sequence[Serving],
    current: Callable[[], Awaitable[Sequence[Serving]]],
    ask: Callable[[Sequence[Serving]], Awaitable[T]],
    what: str,
) -> tuple[Sequence[Serving], T]:
    for _ in range(_TRIES):
        answer = await ask(servings)
        now = await current()
        if _definitions(now) == _definitions(servings):
            return servings, answer
        servings = now
    raise StoreUnavailable(f"{what} changed {_TRIES} times meanwhile")


def _definitions(servings: Sequence[Serving]) -> list[Definition]:
    return [one.shown.definition for one in servings]


def state_header(*servings: Serving) -> dict[str, str]:
    """Says that a first backfill still runs, so that the answer may lack earlier events (decision 27)."""
    is_complete = all(one.shown.state is VersionState.ACTIVE for one in servings)
    return {} if is_complete else {STATE: "building"}
