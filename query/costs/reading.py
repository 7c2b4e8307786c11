"""Usage under many costs at once, in a handful of statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meterhouse.domain.condition import ALWAYS, Condition
from meterhouse.domain.cost import Cost
from meterhouse.domain.position import Position
from meterhouse.domain.usage import Usage, UsageQuestion
from meterhouse.domain.window import Window, WindowSize
from meterhouse.ports.metrics import Serving
from query.backend import Backend
from query.costs.groups import Counted
from query.freshness import Patience
from query.reading import servings_of, steady_remaining


@dataclass(frozen=True, slots=True, kw_only=True)
class CostQuestion:
    """What is asked of every cost: by window, by one dimension or SUBJECT, and of a period before."""

    period: Window
    before: Window | None = None
    condition: Condition = ALWAYS
    window_size: WindowSize | None = None
    dimension: str | None = None


async def fresh_costs(
    ports: Backend, merchant: str, costs: Sequence[Cost], positions: Sequence[Position]
) -> Sequence[Serving]:
    """What counts for the costs, once `positions` are counted under the definitions of now."""
    ids = {cost.id for cost in costs}
    arrived = await servings_of(ports, merchant, ids)
    if not positions:
        return arrived
    patience = Patience(ports, positions)
    await patience.for_positions()
    await patience.for_versions(merchant, arrived)
    return await servings_of(ports, merchant, ids)


async def read_costs(
    ports: Backend, merchant: str, costs: Sequence[Cost], question: CostQuestion
) -> tuple[Sequence[Serving], list[Counted]]:
    """What was counted for each cost, under the definitions that are shown before and after."""
    priced = {cost.id: cost for cost in costs}

    async def ask(servings: Sequence[Serving]) -> list[Counted]:
        usages = await _usages(ports, question, servings, question.period, question.window_size)
        before: Sequence[Usage | None] = [None] * len(usages)
        if question.before is not None:
            before = await _usages(ports, question, servings, question.before, None)
        return [
            Counted(
                cost=priced[serving.metric.id],
                aggregation=serving.shown.definition.aggregation,
                is_grouped=question.dimension is not None,
                usage=usage,
                before=past,
            )
            for serving, usage, past in zip(servings, usages, before, strict=True)
        ]

    return await steady_remaining(ports, merchant, priced.keys(), ask)


async def _usages(
    ports: Backend,
    question: CostQuestion,
    servings: Sequence[Serving],
    period: Window,
    size: WindowSize | None,
) -> Sequence[Usage]:
    return await ports.usage.usages(
        [
            UsageQuestion(
                definition=one.shown.definition,
                period=period,
                condition=question.condition,
                window_size=size,
                group_by=() if question.dimension is None else (question.dimension,),
            )
            for one in servings
        ]
    )
