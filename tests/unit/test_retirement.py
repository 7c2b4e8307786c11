"""What retired versions have counted is deleted, once nobody reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from aggregator.retirement import Retirement
from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.errors import StoreUnavailable
from meterhouse.ports.metrics import PublishedMetric

pytestmark = pytest.mark.anyio

OLD = Definition(billable_metric_id="bm_1", version=1, namespace="org_a", aggregation=Aggregation.SUM)
OTHER = replace(OLD, billable_metric_id="bm_2")


def published(definition: Definition) -> PublishedMetric:
    return PublishedMetric(
        namespace=definition.namespace,
        billable_metric_id=definition.billable_metric_id,
        version=definition.version,
        aggregation="SUM",
        name="",
        unit="",
        dimensions=(),
    )


@dataclass
class World:
    """Implements RetiredVersions, VersionRows and MetricPublication."""

    retired: list[Definition]
    shown: dict[PublishedMetric, int] = field(default_factory=dict)
    deleted: list[tuple[str, str, int]] = field(default_factory=list)
    is_away: bool = False

    async def droppable(self) -> Sequence[Definition]:
        return list(self.retired)

    async def dropped(self, definition: Definition) -> None:
        self.retired.remove(definition)

    async def drop_version(self, namespace: str, billable_metric_id: str, version: int) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.deleted.append((namespace, billable_metric_id, version))

    async def published(self) -> Mapping[PublishedMetric, int]:
        return self.shown

    async def publish(self, metrics: Mapping[PublishedMetric, int]) -> None:
        self.shown.update(metrics)


async def test_versions_go_that_readers_are_not_sent_to() -> None:
    world = World([OLD, OTHER], {published(OLD): 3, published(replace(OTHER, version=2)): 1})
    await Retirement(world, world, world).drop()
    assert world.deleted == [("org_a", "bm_2", 1)]
    assert world.retired == [OLD]
    world.shown = {published(replace(OLD, version=2)): 4}
    await Retirement(world, world, world).drop()
    assert (world.deleted[1:], world.retired) == ([("org_a", "bm_1", 1)], [])


async def test_a_version_whose_rows_stay_stays_retired() -> None:
    world = World([OLD], is_away=True)
    with pytest.raises(StoreUnavailable):
        await Retirement(world, world, world).drop()
    assert world.retired == [OLD]
