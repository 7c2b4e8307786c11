"""What every ProgressLedger, Watermark and Definitions must do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.domain.billable_metric import VersionState
from meterhouse.domain.errors import Fenced
from meterhouse.ports.counting import Progress, ProgressLedger
from tests.servers.catalogs import CatalogStore, metric

pytestmark = pytest.mark.anyio

MERCHANT = "org_a"
LOG = "log-1"


@asynccontextmanager
async def opened(store: CatalogStore) -> AsyncIterator[Catalog]:
    async with Catalog.open(store.url) as catalog:
        await catalog.ensure_product(MERCHANT, "prod_a")
        yield catalog


@pytest.fixture
async def catalog(store: CatalogStore) -> AsyncIterator[Catalog]:
    async with opened(store) as catalog:
        yield catalog


async def counted_to(ledger: ProgressLedger, partition: int, next_offset: int) -> Progress:
    """Claim the partition and count it up to `next_offset` in one batch."""
    progress = await ledger.claim(partition)
    return await ledger.advance(await ledger.plan(progress, next_offset - 1))


async def run_backfills(ledger: ProgressLedger, live: Progress) -> None:
    for backfill in await ledger.backfills(live):
        assert backfill.progress.until is not None
        await ledger.advance(await ledger.plan(backfill.progress, backfill.progress.until - 1))


async def states(catalog: Catalog, id: str = "bm_a") -> tuple[tuple[int, str], tuple[int, str]]:
    """Number and state of the version shown, and of the newest."""
    serving = await catalog.metrics.get(MERCHANT, id)
    return tuple(  # type: ignore[return-value]  # two items in, two items out
        (version.definition.version, version.state) for version in (serving.shown, serving.newest)
    )


async def versions_at(catalog: Catalog, catalog_version: int | None) -> Sequence[tuple[str, int]]:
    assert catalog_version is not None
    return [(one.billable_metric_id, one.version) for one in await catalog.at(catalog_version)]


async def test_the_first_claim_starts_at_the_beginning(catalog: Catalog) -> None:
    progress = await catalog.ledger(LOG, [0]).claim(0)
    assert progress == Progress(stream="0", partition=0, epoch=1, next_offset=0)


async def test_a_pending_batch_survives_its_owner(store: CatalogStore) -> None:
    async with opened(store) as catalog:
        ledger = catalog.ledger(LOG, [0])
        planned = await ledger.plan(await ledger.claim(0), 99)
    async with opened(store) as catalog:
        claimed = await catalog.ledger(LOG, [0]).claim(0)
    assert claimed == replace(planned, epoch=planned.epoch + 1)


async def test_advance_moves_past_the_pending_batch(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    planned = await ledger.plan(await ledger.claim(0), 99)
    advanced = await ledger.advance(planned)
    assert advanced == Progress(stream="0", partition=0, epoch=1, next_offset=100)
    assert await ledger.claim(0) == replace(advanced, epoch=2)


async def test_a_claim_fences_every_write_of_the_earlier_owner(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    idle = await ledger.claim(0)
    fenced_idle = await ledger.claim(0)
    with pytest.raises(Fenced):
        await ledger.plan(idle, 9)
    with pytest.raises(Fenced):
        await ledger.backfills(idle)
    planned = await ledger.plan(fenced_idle, 9)
    await ledger.confirm(planned)
    await ledger.claim(0)
    with pytest.raises(Fenced):
        await ledger.confirm(planned)
    with pytest.raises(Fenced):
        await ledger.advance(planned)
    assert (await ledger.claim(0)).pending_last == 9


async def test_a_claim_fences_the_backfills_of_the_earlier_owner(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    live = await counted_to(ledger, 0, 100)
    await catalog.metrics.create(metric())
    [backfill] = await ledger.backfills(live)
    planned = await ledger.plan(backfill.progress, 49)
    await ledger.confirm(planned)
    live = await ledger.claim(0)
    with pytest.raises(Fenced):
        await ledger.confirm(planned)
    with pytest.raises(Fenced):
        await ledger.advance(planned)
    [again] = await ledger.backfills(live)
    assert again.progress == replace(planned, epoch=live.epoch)
    await ledger.claim(0)
    with pytest.raises(Fenced):
        await ledger.advance(again.progress)


async def test_of_two_claimants_at_once_only_the_later_may_plan(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    claims = await asyncio.gather(*[ledger.claim(0) for _ in range(8)])
    assert sorted(claim.epoch for claim in claims) == list(range(1, 9))
    outcomes = await asyncio.gather(*[ledger.plan(claim, 9) for claim in claims], return_exceptions=True)
    assert [one.epoch for one in outcomes if isinstance(one, Progress)] == [8]
    assert all(isinstance(one, Fenced) for one in outcomes if not isinstance(one, Progress))


async def test_the_same_plan_is_written_once(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    idle = await ledger.claim(0)
    outcomes = await asyncio.gather(*[ledger.plan(idle, 9) for _ in range(4)], return_exceptions=True)
    assert len([one for one in outcomes if isinstance(one, Progress)]) == 1
    assert len([one for one in outcomes if isinstance(one, Fenced)]) == 3


async def test_the_same_advance_is_written_once(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    planned = await ledger.plan(await ledger.claim(0), 9)
    await ledger.advance(planned)
    with pytest.raises(Fenced):
        await ledger.advance(planned)


async def test_a_batch_that_is_counted_cannot_be_planned_again(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    idle = await ledger.claim(0)
    await ledger.advance(await ledger.plan(idle, 9))
    with pytest.raises(Fenced):
        await ledger.plan(idle, 9)


async def test_a_fenced_owner_is_told_so_when_it_asks_for_backfills(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    live = await ledger.claim(0)
    assert await ledger.backfills(live) == ()
    await ledger.claim(0)
    with pytest.raises(Fenced):
        await ledger.backfills(live)


async def test_partitions_and_logs_are_independent(catalog: Catalog) -> None:
    await counted_to(catalog.ledger(LOG, [0, 1]), 0, 10)
    await counted_to(catalog.ledger(LOG, [0, 1]), 1, 20)
    await counted_to(catalog.ledger("log-2", [0]), 0, 30)
    assert await catalog.watermark(LOG).counted() == {0: 10, 1: 20}
    assert await catalog.watermark("log-2").counted() == {0: 30}
    assert await catalog.watermark("log-3").counted() == {}


async def test_a_pending_batch_is_not_yet_counted(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    await ledger.plan(await counted_to(ledger, 0, 10), 19)
    assert await catalog.watermark(LOG).counted() == {0: 10}


async def test_a_metric_on_an_empty_log_is_active_at_once(catalog: Catalog) -> None:
    await catalog.metrics.create(metric())
    ledger = catalog.ledger(LOG, [0])
    live = await ledger.claim(0)
    assert await states(catalog) == ((1, "building"), (1, "building"))
    assert await ledger.backfills(live) == ()
    assert await states(catalog) == ((1, "active"), (1, "active"))


async def test_a_first_batch_at_offset_0_makes_its_metrics_active(catalog: Catalog) -> None:
    await catalog.metrics.create(metric())
    ledger = catalog.ledger(LOG, [0])
    planned = await ledger.plan(await ledger.claim(0), 9)
    assert await states(catalog) == ((1, "active"), (1, "active"))
    assert await versions_at(catalog, planned.catalog_version) == [("bm_a", 1)]


async def test_a_metric_without_an_event_type_has_nothing_to_count(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    live = await counted_to(ledger, 0, 100)
    await catalog.metrics.create(metric(event_type=None))
    assert await ledger.backfills(live) == ()
    assert await states(catalog) == ((1, "active"), (1, "active"))


async def test_an_idle_partition_backfills_what_it_had_counted(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    live = await counted_to(ledger, 0, 100)
    await catalog.metrics.create(metric())
    [backfill] = await ledger.backfills(live)
    assert backfill.progress == Progress(
        stream="0/bm_a/1", partition=0, epoch=live.epoch, next_offset=0, until=100
    )
    assert backfill.definition == (await catalog.metrics.get(MERCHANT, "bm_a")).newest.definition
    planned = await ledger.plan(live, 149)
    assert await versions_at(catalog, planned.catalog_version) == [("bm_a", 1)]


async def test_a_busy_partition_backfills_what_came_before_the_batch_that_met_the_metric(
    catalog: Catalog,
) -> None:
    ledger = catalog.ledger(LOG, [0])
    pending = await ledger.plan(await counted_to(ledger, 0, 100), 149)
    await catalog.metrics.create(metric())
    assert await ledger.backfills(pending) == ()
    assert await versions_at(catalog, pending.catalog_version) == []
    pending = await ledger.plan(await ledger.advance(pending), 199)
    assert await versions_at(catalog, pending.catalog_version) == [("bm_a", 1)]
    [backfill] = await ledger.backfills(pending)
    assert backfill.progress.until == 150


async def test_a_backfill_goes_in_chunks_and_ends_at_until(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    live = await counted_to(ledger, 0, 100)
    await catalog.metrics.create(metric())
    [backfill] = await ledger.backfills(live)
    planned = await ledger.plan(backfill.progress, 59)
    assert planned.catalog_version == await catalog.newest()
    chunk = await ledger.advance(planned)
    assert (chunk.next_offset, chunk.pending_last, chunk.until) == (60, None, 100)
    assert [one.progress for one in await ledger.backfills(live)] == [chunk]
    assert await states(catalog) == ((1, "building"), (1, "building"))
    with pytest.raises(ValueError, match="100"):
        await ledger.plan(chunk, 100)
    await ledger.advance(await ledger.plan(chunk, 99))
    assert await ledger.backfills(live) == ()
    assert await states(catalog) == ((1, "active"), (1, "active"))


async def test_the_same_backfill_chunk_is_planned_once(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    live = await counted_to(ledger, 0, 100)
    await catalog.metrics.create(metric())
    [backfill] = await ledger.backfills(live)
    await ledger.plan(backfill.progress, 59)
    with pytest.raises(Fenced):
        await ledger.plan(backfill.progress, 59)


async def test_a_version_is_active_only_when_every_partition_is_complete(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0, 1, 2])
    lives = [await counted_to(ledger, partition, 10) for partition in (0, 1)]
    await catalog.metrics.create(metric())
    await run_backfills(ledger, lives[0])
    await run_backfills(ledger, lives[1])
    assert await states(catalog) == ((1, "building"), (1, "building"))
    assert await ledger.backfills(await ledger.claim(2)) == ()
    assert await states(catalog) == ((1, "active"), (1, "active"))


async def test_partitions_that_finish_at_once_activate_the_version(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, range(6))
    lives = [await counted_to(ledger, partition, 10) for partition in range(6)]
    await catalog.metrics.create(metric())
    await asyncio.gather(*[run_backfills(ledger, live) for live in lives])
    assert await states(catalog) == ((1, "active"), (1, "active"))


async def test_readers_see_the_old_version_until_the_new_one_is_complete(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    await catalog.metrics.create(metric())
    live = await counted_to(ledger, 0, 100)
    await catalog.metrics.update(MERCHANT, "bm_a", {"event_type": "chat"})
    assert await states(catalog) == ((1, "active"), (2, "building"))
    pending = await ledger.plan(live, 149)
    assert await versions_at(catalog, pending.catalog_version) == [("bm_a", 1), ("bm_a", 2)]
    live = await ledger.advance(pending)
    assert await states(catalog) == ((1, "active"), (2, "building"))
    await run_backfills(ledger, live)
    assert await states(catalog) == ((2, "active"), (2, "active"))
    after = await ledger.plan(live, 199)
    assert await versions_at(catalog, after.catalog_version) == [("bm_a", 2)]


async def test_what_a_pending_batch_is_folded_with_does_not_change_under_it(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    await catalog.metrics.create(metric())
    live = await counted_to(ledger, 0, 100)
    await catalog.metrics.update(MERCHANT, "bm_a", {"event_type": "chat"})
    pending = await ledger.plan(live, 149)
    before = await versions_at(catalog, pending.catalog_version)
    await run_backfills(ledger, pending)
    await catalog.metrics.create(metric("bm_b"))
    assert await states(catalog) == ((2, "active"), (2, "active"))
    assert (await ledger.claim(0)).catalog_version == pending.catalog_version
    assert await versions_at(catalog, pending.catalog_version) == before


async def test_a_definition_replaced_while_it_was_building_is_never_shown(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    await catalog.metrics.create(metric())
    live = await counted_to(ledger, 0, 100)
    await catalog.metrics.update(MERCHANT, "bm_a", {"event_type": "chat"})
    [second] = await ledger.backfills(live)
    second_planned = await ledger.plan(second.progress, 99)
    await catalog.metrics.update(MERCHANT, "bm_a", {"event_type": "image"})
    [third] = await ledger.backfills(live)
    assert third.progress.stream == "0/bm_a/3"
    await ledger.advance(second_planned)
    assert await states(catalog) == ((1, "active"), (3, "building"))
    await run_backfills(ledger, live)
    assert await states(catalog) == ((3, "active"), (3, "active"))


async def test_a_new_partition_meets_the_active_metrics_at_offset_0(catalog: Catalog) -> None:
    await catalog.metrics.create(metric())
    await counted_to(catalog.ledger(LOG, [0]), 0, 100)
    wider = catalog.ledger(LOG, [0, 1])
    planned = await wider.plan(await wider.claim(1), 9)
    assert await versions_at(catalog, planned.catalog_version) == [("bm_a", 1)]
    assert await wider.backfills(planned) == ()
    assert await states(catalog) == ((1, "active"), (1, "active"))


async def test_metrics_made_while_batches_are_planned_are_counted_from_their_until_on(
    catalog: Catalog,
) -> None:
    """The law of section 5: a batch is folded with a version exactly from the version's `until` on."""
    ledger = catalog.ledger(LOG, [0])
    live = await ledger.claim(0)
    folded: dict[str, int] = {}
    untils: dict[str, int] = {}

    async def work() -> None:
        nonlocal live
        while len(folded) < 20:
            pending = await ledger.plan(live, live.next_offset + 9)
            for id, _ in await versions_at(catalog, pending.catalog_version):
                folded.setdefault(id, pending.next_offset)
            live = await ledger.advance(pending)
            for backfill in await ledger.backfills(live):
                assert backfill.progress.until is not None
                untils[backfill.definition.billable_metric_id] = backfill.progress.until

    async def create() -> None:
        for number in range(20):
            await catalog.metrics.create(metric(f"bm_{number:02}"))

    await asyncio.gather(work(), create())
    complete = {id for id in folded if (await states(catalog, id))[0][1] == VersionState.ACTIVE}
    assert {id: folded[id] for id in folded.keys() - complete} == untils
    assert {folded[id] for id in complete} <= {0}


async def test_definitions_of_a_version_to_come_are_refused(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="no catalog version"):
        await catalog.at(await catalog.newest() + 1)


async def test_two_processes_share_one_ledger(store: CatalogStore) -> None:
    async with opened(store) as one, opened(store) as other:
        await one.metrics.create(metric())
        first = await one.ledger(LOG, [0]).claim(0)
        second = await other.ledger(LOG, [0]).claim(0)
        with pytest.raises(Fenced):
            await one.ledger(LOG, [0]).plan(first, 9)
        planned = await other.ledger(LOG, [0]).plan(second, 9)
        assert await versions_at(one, planned.catalog_version) == [("bm_a", 1)]


# Beginning anew


async def test_a_forgotten_log_is_counted_from_its_beginning_by_a_new_owner(catalog: Catalog) -> None:
    ledger, other = catalog.ledger(LOG, [0, 1]), catalog.ledger("log-2", [0])
    live = await counted_to(ledger, 0, 10)
    await counted_to(other, 0, 7)
    await ledger.forget()
    with pytest.raises(Fenced):
        await ledger.plan(live, 19)
    claimed = await ledger.claim(0)
    assert (claimed.next_offset, claimed.pending_last) == (0, None)
    assert claimed.epoch > live.epoch
    assert await catalog.watermark("log-2").counted() == {0: 7}


async def test_after_forgetting_no_version_needs_a_backfill(catalog: Catalog) -> None:
    ledger = catalog.ledger(LOG, [0])
    live = await counted_to(ledger, 0, 10)
    await catalog.metrics.create(metric())
    assert await ledger.backfills(live)
    await ledger.forget()
    claimed = await ledger.claim(0)
    planned = await ledger.plan(claimed, 9)
    assert await versions_at(catalog, planned.catalog_version) == [("bm_a", 1)]
    assert await ledger.backfills(await ledger.advance(planned)) == ()
    assert await states(catalog) == ((1, VersionState.ACTIVE), (1, VersionState.ACTIVE))
