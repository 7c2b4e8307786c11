"""Read your writes: wait until what the caller wrote is counted (contract 10.1, decision 15)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Final

import anyio
from fastapi import Depends, Header

from meterhouse.domain.billable_metric import VersionState
from meterhouse.domain.errors import Invalid, NotYetCounted
from meterhouse.domain.position import Position, parse_positions, render_positions
from meterhouse.ports.metrics import Serving
from query.backend import Backend
from query.fields import AfterText

_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.05


async def _after_header(
    meterhouse_after: Annotated[AfterText | None, Header()] = None,
) -> tuple[Position, ...]:
    if meterhouse_after is None:
        return ()
    try:
        return parse_positions(meterhouse_after)
    except ValueError as error:
        raise Invalid.field("Meterhouse-After", str(error)) from error


AfterHeader = Annotated[tuple[Position, ...], Depends(_after_header)]


class Patience:
    """One deadline for all that one question waits for."""

    def __init__(self, backend: Backend, positions: Sequence[Position]) -> None:
        self._backend = backend
        self._positions = tuple(positions)
        self._deadline = anyio.current_time() + backend.after_timeout.total_seconds()

    async def for_positions(self) -> None:
        """Until everything before the positions is counted. Raises Invalid for a partition nobody has."""
        asked = render_positions(self._positions)

        async def counted() -> bool:
            return reached(await self._backend.watermark.counted(), self._positions)

        await self._until(counted, f"the log is not counted up to {asked} yet; ask again")

    async def for_version(self, asked: Serving, current: Callable[[], Awaitable[Serving]]) -> None:
        """Until readers see the definition that stood when the question arrived."""

        async def active() -> bool:
            return settled(asked, await current())

        metric_id = asked.metric.id
        await self._until(active, f"{metric_id} is still counting earlier events; ask again")

    async def for_versions(self, merchant: str, asked: Sequence[Serving]) -> None:
        """The same for several billable metrics of a merchant."""
        for one in asked:
            await self.for_version(one, partial(self._backend.metrics.get, merchant, one.metric.id))

    async def _until(self, condition: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        pause = _FIRST_PAUSE
        while not await condition():
            left = self._deadline - anyio.current_time()
            if left <= 0:
                raise NotYetCounted(otherwise)
            await anyio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)


def reached(counted: Mapping[int, int], positions: Sequence[Position]) -> bool:
    """Whether everything before every position is counted."""
    for position in positions:
        if position.partition not in counted:
            raise Invalid.field("after", f"the log has no partition {position.partition}")
    return all(counted[position.partition] >= position.offset for position in positions)


def settled(asked: Serving, current: Serving) -> bool:
    """Whether the newest definition of `asked`, or a later one, is what readers see, and is complete."""
    shown = current.shown
    return shown.state is VersionState.ACTIVE and shown.definition.version >= asked.newest.definition.version
