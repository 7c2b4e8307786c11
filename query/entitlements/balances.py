"""What holdings come to at an instant: their balances, burned down from usage that is read just then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from meterhouse.domain.allowance import Allowance, cuts
from meterhouse.domain.balance import Balance
from meterhouse.domain.billable_metric import Definition, VersionState
from meterhouse.domain.holding import Holding
from meterhouse.domain.instant import Instant
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.position import Position
from meterhouse.domain.rollup import Reading
from meterhouse.ports.metrics import Serving
from meterhouse.ports.usage import PhaseReader
from query.backend import Backend, Measuring
from query.freshness import Patience
from query.reading import steady_some


@dataclass(frozen=True, slots=True)
class AsOf:
    """The instant that is `asked` for, or else now: `wall`, or a holding's test clock's (contract 3.8)."""

    asked: Instant | None
    wall: Instant

    def of(self, holding: Holding) -> Instant:
        return holding.now(self.wall) if self.asked is None else self.asked


Asked = tuple[Holding, Instant]


@dataclass(frozen=True, slots=True)
class Standing:
    """A holding at an instant; only a metered one has a balance."""

    holding: Holding
    at: Instant
    balance: Balance | None


async def standings(
    backend: Measuring, merchant: str, holdings: Sequence[Holding], as_of: AsOf
) -> Sequence[Standing]:
    """Each of the holdings then, from one look at the usage of all. Raises Invalid, StoreUnavailable."""
    return await standings_at(backend, merchant, [(one, as_of.of(one)) for one in holdings])


async def standings_at(backend: Measuring, merchant: str, asked: Sequence[Asked]) -> Sequence[Standing]:
    """The same, each at an instant of its own."""
    metered = [one for one in asked if one[0].billable_metric_id is not None]
    ids = {holding.billable_metric_id for holding, _ in metered}
    metrics = sorted(id for id in ids if id is not None)
    ask = partial(_balances, backend, metered)
    balances = await steady_some(backend, merchant, metrics, ask) if metrics else {}
    return [Standing(holding, at, balances.get((holding.entitlement.id, at))) for holding, at in asked]


async def until_counted(
    backend: Backend, merchant: str, holdings: Sequence[Holding], positions: Sequence[Position]
) -> None:
    """Return once everything before the positions counts in these balances (contract 10.1, decision 15)."""
    if not positions:
        return
    ids = {one.billable_metric_id for one in holdings if one.billable_metric_id is not None}
    arrived = [await backend.metrics.get(merchant, id) for id in sorted(ids)]
    patience = Patience(backend, positions)
    await patience.for_positions()
    await patience.for_versions(merchant, arrived)


async def _balances(
    backend: Measuring, metered: Sequence[Asked], servings: Sequence[Serving]
) -> Mapping[tuple[str, Instant], Balance]:
    definitions = {one.metric.id: one.shown.definition for one in servings}
    allowances = [holding.entitlement.allowance(holding.grants, at) for holding, at in metered]
    asked = [
        _question(holding, definitions, allowance, at)
        for (holding, at), allowance in zip(metered, allowances, strict=True)
    ]
    # The rows of a version that is being built come without a word from the watermark.
    is_complete = all(one.shown.state is VersionState.ACTIVE for one in servings)
    readings = await read_phases(backend.recent if is_complete else backend.holdings.phases, asked)
    balances = {}
    for (holding, at), allowance, question, of_phases in zip(
        metered, allowances, asked, readings, strict=True
    ):
        id = holding.entitlement.id
        balances[id, at] = backend.snapshots.burn_down(id, allowance, question, of_phases, at)
    return balances


async def read_phases(reader: PhaseReader, asked: Sequence[PhasesQuestion]) -> Sequence[Sequence[Reading]]:
    """The phases of each question; a metric without an event type counts nothing, and is not asked about."""
    found = iter(await reader.phases([one for one in asked if one.definition.event_type is not None]))
    return [
        [Reading()] * max(len(one.cuts) - 1, 0) if one.definition.event_type is None else next(found)
        for one in asked
    ]


def _question(
    holding: Holding, definitions: Mapping[str, Definition], allowance: Allowance, at: Instant
) -> PhasesQuestion:
    assert holding.billable_metric_id is not None, "it is metered"
    return PhasesQuestion(
        definition=definitions[holding.billable_metric_id],
        subject=holding.entitlement.customer_id,
        linked=holding.external_id,
        cuts=cuts(allowance, at),
        resets=allowance.resets_by(at),
    )
