"""What every catalog must do for merchants, keys, products and billable metrics."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.domain.billable_metric import Aggregation, BillableMetric, Product
from meterhouse.domain.errors import CatalogUnavailable, Conflict, Invalid, NotFound
from meterhouse.domain.instant import Instant
from meterhouse.domain.item import Item
from tests.servers.catalogs import CatalogStore

pytestmark = pytest.mark.anyio


class SetClock:
    """A clock that says what it was told."""

    def __init__(self, now: Instant) -> None:
        self.instant = now

    def now(self) -> Instant:
        return self.instant


@pytest.fixture
def url(store: CatalogStore) -> str:
    return store.url


@pytest.fixture
async def catalog(url: str) -> AsyncIterator[Catalog]:
    async with Catalog.open(url, SetClock(1_000)) as catalog:
        await catalog.ensure_product("org_a", "prod_a")
        await catalog.ensure_product("org_b", "prod_b")
        yield catalog


def product(id: str, merchant_id: str = "org_a", at: Instant = 1) -> Product:
    return Product(
        id=id,
        merchant_id=merchant_id,
        name=f"name of {id}",
        description="",
        metadata={"tier": "gold"},
        created_at=at,
        updated_at=at,
    )


def metric(id: str = "bm_a", merchant_id: str = "org_a", product_id: str = "prod_a") -> BillableMetric:
    return BillableMetric(
        id=id,
        merchant_id=merchant_id,
        product_id=product_id,
        item_id=None,
        name="tokens",
        description="tokens used",
        unit="token",
        aggregation=Aggregation.SUM,
        event_type="chat",
        value_property="$.tokens",
        group_by={"model": "$.model", "city": "$.geo.city"},
        event_from=17,
        version=1,
        created_at=1,
        updated_at=1,
    )


def item() -> Item:
    return Item(
        id="itm_1",
        merchant_id="org_a",
        product_id="prod_a",
        name="n",
        metadata={},
        created_at=1,
        updated_at=1,
    )


async def until_known(catalog: Catalog, key: str, merchant: str | None) -> None:
    deadline = monotonic() + 1
    while (found := await catalog.keys.merchant_of(key)) != merchant:
        assert monotonic() < deadline, f"after a second the key belongs to {found}"
        await asyncio.sleep(0.01)


async def until_answered(catalog: Catalog, key: str) -> None:
    deadline = monotonic() + 2
    while monotonic() < deadline:
        try:
            await catalog.keys.merchant_of(key)
        except CatalogUnavailable:
            await asyncio.sleep(0.02)
        else:
            return
    pytest.fail("the catalog is back, but keys are still not answered")


# Keys


async def test_a_new_key_works_for_its_merchant_alone(catalog: Catalog) -> None:
    info, secret = await catalog.create_key("org_new", "ci")
    assert secret.startswith("mh_")
    assert len(secret) == 46
    assert (info.merchant_id, info.name, info.created_at, info.revoked_at) == ("org_new", "ci", 1_000, None)
    assert await catalog.keys.merchant_of(secret) == "org_new"
    assert await catalog.keys.merchant_of(secret[:-1]) is None
    assert await catalog.keys.merchant_of("") is None
    assert await catalog.keys.merchant_of("ü\udcff") is None


async def test_a_key_that_was_refused_works_within_a_second_of_its_creation(catalog: Catalog) -> None:
    assert await catalog.keys.merchant_of("mh_soon") is None
    await catalog.create_key("org_a", "", "mh_soon")
    await until_known(catalog, "mh_soon", "org_a")


async def test_a_key_made_by_another_process_works_here(catalog: Catalog, url: str) -> None:
    async with Catalog.open(url) as other:
        _, secret = await other.create_key("org_a", "")
    await until_known(catalog, secret, "org_a")


async def test_a_revoked_key_stops_within_a_second_in_every_process(catalog: Catalog, url: str) -> None:
    info, secret = await catalog.create_key("org_a", "")
    assert await catalog.keys.merchant_of(secret) == "org_a"
    async with Catalog.open(url, SetClock(2_000)) as other:
        revoked = await other.revoke_key(info.id)
        assert await other.revoke_key(info.id) == revoked == replace(info, revoked_at=2_000)
    await until_known(catalog, secret, None)


async def test_revoking_an_unknown_key_is_refused(catalog: Catalog) -> None:
    with pytest.raises(NotFound):
        await catalog.revoke_key("key_nope")


async def test_secrets_are_not_in_the_database(catalog: Catalog, store: CatalogStore) -> None:
    _, secret = await catalog.create_key("org_a", "")
    assert secret.encode() not in store.contents()


async def test_ensuring_a_key_again_changes_nothing(catalog: Catalog) -> None:
    first = await catalog.ensure_key("org_a", "mh_dev")
    assert await catalog.ensure_key("org_a", "mh_dev") == first
    assert list(await catalog.list_keys()) == [first]
    assert len(first.prefix) < len("mh_dev")


async def test_a_forgotten_key_works_again_once_ensured(catalog: Catalog) -> None:
    await catalog.ensure_key("org_a", "mh_dev")
    await catalog.forget_key("mh_dev")
    await catalog.forget_key("mh_never_was")
    assert await catalog.keys.merchant_of("mh_dev") is None
    await catalog.ensure_key("org_a", "mh_dev")
    await until_known(catalog, "mh_dev", "org_a")


async def test_a_key_belongs_to_one_merchant(catalog: Catalog) -> None:
    await catalog.ensure_key("org_a", "mh_dev")
    with pytest.raises(Conflict):
        await catalog.ensure_key("org_b", "mh_dev")
    with pytest.raises(Conflict):
        await catalog.create_key("org_a", "", "mh_dev")


@pytest.mark.parametrize("merchant", ["", "a", "org_", "org_a b", "org_a/b", "org_\n"])
async def test_a_merchant_needs_an_id_that_fits_a_url(catalog: Catalog, merchant: str) -> None:
    with pytest.raises(Invalid):
        await catalog.create_key(merchant, "")


async def test_unknown_keys_take_no_memory_and_ask_the_database_little(catalog: Catalog) -> None:
    _, secret = await catalog.create_key("org_a", "")
    cache = catalog.keys._cache
    for number in range(20_000):
        assert await catalog.keys.merchant_of(f"mh_guess{number}") is None
    assert await catalog.keys.merchant_of(secret) == "org_a"
    assert len(cache._valid) == 1


async def test_known_keys_outlive_the_database(catalog: Catalog, store: CatalogStore) -> None:
    _, secret = await catalog.create_key("org_a", "")
    assert await catalog.keys.merchant_of(secret) == "org_a"
    with store.away():
        deadline = monotonic() + 1
        while monotonic() < deadline:  # longer than any answer is remembered
            assert await catalog.keys.merchant_of(secret) == "org_a"
            await asyncio.sleep(0.02)
        with pytest.raises(CatalogUnavailable):
            await catalog.keys.merchant_of("mh_other")
    await until_answered(catalog, "mh_other")


# Products


async def test_a_product_is_kept_as_it_was_made(catalog: Catalog) -> None:
    made = await catalog.products.create(product("prod_1"))
    assert made == product("prod_1") == await catalog.products.get("org_a", "prod_1")


async def test_ensuring_a_product_again_changes_nothing(catalog: Catalog) -> None:
    first = await catalog.ensure_product("org_a", "prod_dev")
    await catalog.products.update("org_a", "prod_dev", {"name": "Mine"})
    assert await catalog.ensure_product("org_a", "prod_dev") == replace(first, name="Mine")
    with pytest.raises(Conflict):
        await catalog.ensure_product("org_b", "prod_dev")


async def test_products_come_in_pages_oldest_first(catalog: Catalog) -> None:
    for id, at in (("prod_3", 30), ("prod_2", 20), ("prod_1", 20), ("prod_x", 5_000)):
        await catalog.products.create(product(id, at=at))
    await catalog.products.create(product("prod_other", "org_b"))
    first = await catalog.products.page("org_a", 2, 0)
    second = await catalog.products.page("org_a", 2, 2)
    beyond = await catalog.products.page("org_a", 2, 9)
    assert [one.id for one in first.items] == ["prod_1", "prod_2"]
    assert [one.id for one in second.items] == ["prod_3", "prod_a"]
    assert (first.total, second.total, beyond.total, beyond.items) == (5, 5, 5, ())


async def test_a_product_changes_in_the_named_fields_only(catalog: Catalog) -> None:
    await catalog.products.create(product("prod_1"))
    changed = await catalog.products.update("org_a", "prod_1", {"metadata": {"a": "b"}, "updated_at": 9})
    assert changed == replace(product("prod_1"), metadata={"a": "b"}, updated_at=9)
    assert changed == await catalog.products.get("org_a", "prod_1")


async def test_an_id_is_given_once(catalog: Catalog) -> None:
    with pytest.raises(Conflict):
        await catalog.products.create(product("prod_b"))
    await catalog.metrics.create(metric())
    with pytest.raises(Conflict):
        await catalog.metrics.create(metric("bm_a", "org_b", "prod_b"))


# Billable metrics


async def test_a_metric_is_kept_as_it_was_made(catalog: Catalog) -> None:
    assert await catalog.metrics.create(metric()) == metric()
    serving = await catalog.metrics.get("org_a", "bm_a")
    assert serving.metric == metric()
    assert serving.shown == serving.newest
    assert serving.newest.definition.dimensions == (("city", ("geo", "city")), ("model", ("model",)))
    assert serving.newest.definition.value_path == ("tokens",)
    assert serving.newest.definition.namespace == "org_a"
    assert serving.newest.definition.event_from == 17


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_type", "image"),
        ("event_type", None),
        ("value_property", "$.other"),
        ("group_by", None),
        ("group_by", {"model": "$.model"}),
        ("event_from", None),
        ("event_from", 18),
    ],
)
async def test_a_change_of_the_definition_makes_a_version(
    catalog: Catalog, field: str, value: object
) -> None:
    await catalog.metrics.create(metric())
    before = await catalog.newest()
    changed = await catalog.metrics.update("org_a", "bm_a", {field: value, "updated_at": 9})
    assert changed == replace(metric(), version=2, updated_at=9, **{field: value})  # type: ignore[arg-type]  # any field
    assert await catalog.newest() == before + 1
    assert [one.version for one in await catalog.at(before)] == [1]
    assert [one.version for one in await catalog.at(before + 1)] == [2]
    assert (await catalog.metrics.get("org_a", "bm_a")).metric == changed


async def test_a_recent_version_is_as_old_as_the_asker_allows(catalog: Catalog) -> None:
    before = await catalog.recent(60.0)
    await catalog.metrics.create(metric())
    assert await catalog.recent(60.0) == before
    assert await catalog.recent(0.0) == before + 1
    assert await catalog.recent(60.0) == before + 1


async def test_what_leaves_the_definition_as_it_is_makes_no_version(catalog: Catalog) -> None:
    await catalog.metrics.create(metric())
    before = await catalog.newest()
    same = {"group_by": {"city": "$.geo.city", "model": "$.model"}, "event_type": "chat", "event_from": 17}
    await catalog.items.create(item())
    changed = await catalog.metrics.update("org_a", "bm_a", {**same, "name": "n", "item_id": "itm_1"})
    assert changed == replace(metric(), name="n", item_id="itm_1")
    assert await catalog.metrics.update("org_a", "bm_a", {}) == changed
    assert await catalog.newest() == before


async def test_no_dimensions_and_null_are_one_definition(catalog: Catalog) -> None:
    await catalog.metrics.create(replace(metric(), group_by=None))
    changed = await catalog.metrics.update("org_a", "bm_a", {"group_by": {}})
    assert (changed.version, changed.group_by) == (1, {})
    assert (await catalog.metrics.get("org_a", "bm_a")).metric.group_by == {}


@pytest.mark.parametrize("field", ["aggregation", "product_id", "merchant_id", "id", "version", "nonsense"])
async def test_what_a_metric_is_cannot_change(catalog: Catalog, field: str) -> None:
    await catalog.metrics.create(metric())
    with pytest.raises(ValueError, match=field):
        await catalog.metrics.update("org_a", "bm_a", {"name": "half", field: "x"})
    assert (await catalog.metrics.get("org_a", "bm_a")).metric == metric()


async def test_metrics_come_in_pages_by_product_and_item(catalog: Catalog) -> None:
    await catalog.products.create(product("prod_2"))
    await catalog.metrics.create(metric("bm_2"))
    await catalog.items.create(item())
    await catalog.metrics.create(replace(metric("bm_1"), item_id="itm_1"))
    await catalog.metrics.create(replace(metric("bm_3"), product_id="prod_2", created_at=0))
    await catalog.metrics.create(metric("bm_other", "org_b", "prod_b"))
    await catalog.metrics.update("org_a", "bm_2", {"event_type": "image"})

    async def ids(product_id: str | None, item_id: str | None) -> tuple[list[str], int]:
        page = await catalog.metrics.page("org_a", product_id, item_id, 2, 0)
        return [one.id for one in page.items], page.total

    assert await ids(None, None) == (["bm_3", "bm_1"], 3)
    assert await ids("prod_a", None) == (["bm_1", "bm_2"], 2)
    assert await ids("prod_a", "itm_1") == (["bm_1"], 1)
    assert await ids("prod_b", None) == ([], 0)
    rest = await catalog.metrics.page("org_a", None, None, 2, 2)
    assert [(one.id, one.version, one.event_type) for one in rest.items] == [("bm_2", 2, "image")]


async def test_the_directory_lists_all_that_a_merchant_counts(catalog: Catalog) -> None:
    await catalog.metrics.create(metric("bm_2"))
    await catalog.metrics.create(metric("bm_1"))
    await catalog.metrics.create(metric("bm_other", "org_b", "prod_b"))
    ledger = catalog.ledger("log", [0])
    live = await ledger.claim(0)
    await ledger.backfills(live)
    await ledger.advance(await ledger.plan(live, 9))
    await catalog.metrics.update("org_a", "bm_2", {"event_type": "image"})
    serving = await catalog.metrics.serving("org_a")
    assert [
        (one.metric.id, one.shown.definition.event_type, one.newest.definition.event_type) for one in serving
    ] == [("bm_1", "chat", "chat"), ("bm_2", "chat", "image")]
    assert serving[1] == await catalog.metrics.get("org_a", "bm_2")


async def test_another_merchants_objects_are_not_found(catalog: Catalog) -> None:
    await catalog.metrics.create(metric())
    with pytest.raises(NotFound):
        await catalog.products.get("org_b", "prod_a")
    with pytest.raises(NotFound):
        await catalog.products.update("org_b", "prod_a", {"name": "mine"})
    with pytest.raises(NotFound):
        await catalog.products.create(product("prod_1", "org_nobody"))
    with pytest.raises(NotFound):
        await catalog.metrics.get("org_b", "bm_a")
    with pytest.raises(NotFound):
        await catalog.metrics.update("org_b", "bm_a", {"name": "mine"})
    with pytest.raises(NotFound):
        await catalog.metrics.create(metric("bm_b", "org_b", "prod_a"))
    with pytest.raises(NotFound):
        await catalog.metrics.create(metric("bm_b", "org_a", "prod_nope"))
    assert (await catalog.metrics.page("org_b", "prod_a", None, 10, 0)).total == 0
    assert await catalog.metrics.serving("org_b") == []


async def test_all_metrics_are_those_of_every_merchant(catalog: Catalog) -> None:
    await catalog.metrics.create(metric("bm_1"))
    await catalog.metrics.create(metric("bm_2", "org_b", "prod_b"))
    expected = [*await catalog.metrics.serving("org_a"), *await catalog.metrics.serving("org_b")]
    found = await catalog.metrics.all_serving()
    assert sorted(found, key=lambda one: one.metric.id) == expected


# The database under it


async def test_what_was_written_is_there_after_opening_again(url: str) -> None:
    async with Catalog.open(url) as catalog:
        await catalog.ensure_product("org_a", "prod_a")
        await catalog.metrics.create(metric())
        _, secret = await catalog.create_key("org_a", "")
        newest = await catalog.newest()
    async with Catalog.open(url) as catalog:
        assert (await catalog.metrics.get("org_a", "bm_a")).metric == metric()
        assert await catalog.keys.merchant_of(secret) == "org_a"
        assert await catalog.newest() == newest


async def test_metrics_created_at_once_each_get_a_catalog_version(catalog: Catalog) -> None:
    before = await catalog.newest()
    await asyncio.gather(*[catalog.metrics.create(metric(f"bm_{number}")) for number in range(30)])
    assert await catalog.newest() == before + 30
    sizes = [len(await catalog.at(version)) for version in range(before, before + 31)]
    assert sizes == list(range(31))


async def test_changes_at_once_make_one_version_after_another(catalog: Catalog) -> None:
    await catalog.metrics.create(metric())
    types = [f"type{number}" for number in range(20)]
    changes = [catalog.metrics.update("org_a", "bm_a", {"event_type": one}) for one in types]
    made = await asyncio.gather(*changes)
    assert sorted(one.version for one in made) == list(range(2, 22))
    assert [one.version for one in await catalog.at(await catalog.newest())] == [21]


def _create_keys(url: str, number: int) -> None:
    async def create() -> None:
        async with Catalog.open(url) as catalog:
            for _ in range(10):
                await catalog.create_key(f"org_{number}", "")

    asyncio.run(create())


async def test_processes_that_open_a_new_catalog_at_once_all_write_to_it(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_create_keys, args=(url, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.join, 60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    async with Catalog.open(url) as catalog:
        merchants = [key.merchant_id for key in await catalog.list_keys()]
    assert sorted(merchants) == sorted(["org_0", "org_1", "org_2"] * 10)


async def test_a_file_that_is_no_catalog_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite3").write_bytes(b"not a database " * 100)
    with pytest.raises(CatalogUnavailable):
        async with Catalog.open(f"sqlite:///{tmp_path}/catalog.sqlite3"):
            pass
