"""What every VersionCatalog and RetiredVersions must do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.domain.billable_metric import VersionState
from meterhouse.domain.errors import Conflict, NotFound
from tests.contract.test_progress_ledger import LOG, MERCHANT, counted_to, opened, run_backfills, states
from tests.servers.catalogs import CatalogStore, metric

pytestmark = pytest.mark.anyio

BUILDING, ACTIVE, RETIRED, DROPPED = VersionState


@pytest.fixture
async def catalog(store: CatalogStore) -> AsyncIterator[Catalog]:
    async with opened(store) as catalog:
        yield catalog


async def shown(catalog: Catalog) -> list[tuple[int, VersionState, int, int]]:
    """Of every version of bm_a: number, state, records counted, of how many."""
    return [
        (one.version.definition.version, one.version.state, one.counted, one.total)
        for one in await catalog.versions(LOG).of(MERCHANT, "bm_a")
    ]


async def test_a_version_says_how_far_it_is_counted(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0, 1])
    first, second = await counted_to(ledger, 0, 100), await counted_to(ledger, 1, 50)
    await catalog.metrics.create(metric())
    assert await shown(catalog) == [(1, BUILDING, 0, 150)]
    [backfill] = await ledger.backfills(first)
    await ledger.advance(await ledger.plan(backfill.progress, 29))
    assert await shown(catalog) == [(1, BUILDING, 30, 150)]
    [one] = await catalog.versions(LOG).building()
    assert (one.name, one.counted, one.total) == ("calls", 30, 150)
    await run_backfills(ledger, first)
    await run_backfills(ledger, second)
    assert await shown(catalog) == [(1, ACTIVE, 150, 150)]
    assert await catalog.versions(LOG).building() == []


async def test_a_cancelled_version_gives_way_to_the_one_before(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    await catalog.metrics.create(metric())
    live = await counted_to(ledger, 0, 100)
    await catalog.metrics.update(MERCHANT, "bm_a", {"event_type": "job"})
    [backfill] = await ledger.backfills(live)
    await ledger.plan(backfill.progress, 29)
    await catalog.versions(LOG).cancel(MERCHANT, "bm_a", 2)
    assert await states(catalog) == ((1, ACTIVE), (1, ACTIVE))
    assert (await catalog.metrics.get(MERCHANT, "bm_a")).metric.event_type == "call"
    assert not await ledger.backfills(live)
    assert [(one.billable_metric_id, one.version) for one in await catalog.at(await catalog.newest())] == [
        ("bm_a", 1)
    ]
    changed = await catalog.metrics.update(MERCHANT, "bm_a", {"event_type": "run"})
    assert changed.version == 3  # 2 has rows of its own


async def test_what_cannot_be_cancelled(catalog: Catalog) -> None:
    versions = catalog.versions(LOG)
    await catalog.metrics.create(metric())
    with pytest.raises(Conflict, match="none to go back to"):
        await versions.cancel(MERCHANT, "bm_a", 1)
    await counted_to(catalog.ledger(LOG, [0]), 0, 1)
    with pytest.raises(Conflict, match="active, not building"):
        await versions.cancel(MERCHANT, "bm_a", 1)
    for merchant, id, version in ((MERCHANT, "bm_a", 9), (MERCHANT, "bm_x", 1), ("org_b", "bm_a", 1)):
        with pytest.raises(NotFound):
            await versions.cancel(merchant, id, version)
    with pytest.raises(NotFound):
        await versions.of("org_b", "bm_a")


async def droppable(catalog: Catalog) -> list[int]:
    return [one.version for one in await catalog.versions(LOG).droppable()]


async def test_a_retired_version_may_go_once_no_partition_writes_it(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0, 1])
    await catalog.metrics.create(metric())
    first, second = await counted_to(ledger, 0, 10), await counted_to(ledger, 1, 10)
    await catalog.metrics.update(MERCHANT, "bm_a", {"event_type": "job"})
    await run_backfills(ledger, first)
    pending = await ledger.plan(second, 19)  # under a catalog version that still has version 1
    await run_backfills(ledger, pending)
    assert await states(catalog) == ((2, ACTIVE), (2, ACTIVE))
    assert await droppable(catalog) == []
    await ledger.backfills(first)
    assert await droppable(catalog) == []
    second = await ledger.advance(pending)
    await ledger.plan(second, 29)
    [definition] = await catalog.versions(LOG).droppable()
    assert (definition.namespace, definition.billable_metric_id, definition.version) == (MERCHANT, "bm_a", 1)
    for _ in range(2):
        await catalog.versions(LOG).dropped(definition)
        assert await droppable(catalog) == []
    assert [one[:2] for one in await shown(catalog)] == [(1, DROPPED), (2, ACTIVE)]


async def test_a_cancelled_version_may_go_once_its_chunk_is_over(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    await catalog.metrics.create(metric())
    live = await counted_to(ledger, 0, 100)
    await catalog.metrics.update(MERCHANT, "bm_a", {"event_type": "job"})
    [backfill] = await ledger.backfills(live)
    await ledger.plan(backfill.progress, 29)
    await catalog.versions(LOG).cancel(MERCHANT, "bm_a", 2)
    await ledger.backfills(live)  # the partition meets the catalog version without it
    assert await droppable(catalog) == []  # its chunk may be on its way
    await ledger.claim(0)  # whoever was about to insert it is gone
    assert await droppable(catalog) == [2]


async def test_a_dropped_version_of_an_active_metric_stays_its_own(catalog: Catalog) -> None:
    await catalog.metrics.create(metric())
    await counted_to(catalog.ledger(LOG, [0]), 0, 1)
    [one] = await catalog.versions(LOG).of(MERCHANT, "bm_a")
    await catalog.versions(LOG).dropped(one.version.definition)
    assert await shown(catalog) == [(1, ACTIVE, 0, 0)]
