"""What every catalog must do for features, and so what the fake of it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.domain.billable_metric import Product
from meterhouse.domain.errors import Conflict, NotFound
from meterhouse.domain.feature import Feature, FeatureType
from meterhouse.domain.instant import Instant
from meterhouse.ports.sales import FeatureCatalog
from tests.fakes_query import FakeFeatures, FakeProducts
from tests.servers.catalogs import CatalogStore

pytestmark = pytest.mark.anyio

PRODUCTS = (("org_a", "prod_a"), ("org_a", "prod_a2"), ("org_b", "prod_b"))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Catalog]:
    async with Catalog.open(url) as catalog:
        for merchant_id, id in PRODUCTS:
            await catalog.ensure_product(merchant_id, id)
        yield catalog


@pytest.fixture
async def catalog(store: CatalogStore) -> AsyncIterator[Catalog]:
    async with opened(store.url) as catalog:
        yield catalog


@pytest.fixture
async def features(url_or_none: str | None) -> AsyncIterator[FeatureCatalog]:
    if url_or_none is None:
        yield FakeFeatures(await products())
        return
    async with opened(url_or_none) as catalog:
        yield catalog.features


async def products() -> FakeProducts:
    made = FakeProducts()
    for merchant_id, id in PRODUCTS:
        await made.create(
            Product(
                id=id,
                merchant_id=merchant_id,
                name=id,
                description="",
                metadata={},
                created_at=1,
                updated_at=1,
            )
        )
    return made


def feature(
    number: int, key: str = "", product_id: str = "prod_a", *, merchant_id: str = "org_a", at: Instant = 1
) -> Feature:
    return Feature(
        id=f"feat_{product_id.removeprefix('prod_')}{number}",
        merchant_id=merchant_id,
        product_id=product_id,
        key=key or f"key-{number}",
        name=f"Feature {number}",
        type=FeatureType.METERED,
        metadata={"billableMetricId": "bm_a"},
        created_at=at,
        updated_at=at,
    )


async def ids(features: FeatureCatalog, key: str | None = None) -> list[str]:
    page = await features.page("org_a", "prod_a", key, 100, 0)
    assert page.total == len(page.items)
    return [one.id for one in page.items]


async def test_a_feature_is_kept_as_it_was_made(features: FeatureCatalog) -> None:
    made = feature(1)
    assert await features.create(made) == made == await features.get("org_a", made.id)


async def test_a_feature_of_a_product_that_is_not_the_merchants_is_not_made(features: FeatureCatalog) -> None:
    for product_id in ("prod_b", "prod_none"):
        with pytest.raises(NotFound):
            await features.create(feature(1, product_id=product_id))
        with pytest.raises(NotFound):
            await features.page("org_a", product_id, None, 10, 0)


async def test_a_key_is_taken_within_its_product(features: FeatureCatalog) -> None:
    first = await features.create(feature(1, "same"))
    with pytest.raises(Conflict, match="same"):
        await features.create(feature(2, "same"))
    await features.create(feature(1, "same", "prod_a2"))
    await features.create(feature(1, "same", "prod_b", merchant_id="org_b"))
    other = await features.create(feature(3, "other"))
    with pytest.raises(Conflict, match="same"):
        await features.update("org_a", other.id, {"key": "same", "name": "half"})
    assert await features.get("org_a", other.id) == other
    assert await features.update("org_a", first.id, {"key": "same"}) == first


async def test_a_deleted_features_key_is_free(features: FeatureCatalog) -> None:
    first = await features.create(feature(1, "same"))
    await features.delete("org_a", first.id, 5)
    for _ in range(2):
        with pytest.raises(NotFound):
            await features.delete("org_a", first.id, 6)
    with pytest.raises(NotFound):
        await features.get("org_a", first.id)
    with pytest.raises(NotFound):
        await features.update("org_a", first.id, {"name": "back"})
    assert await ids(features) == []
    second = await features.create(feature(2, "same"))
    await features.delete("org_a", second.id, 7)
    third = await features.create(feature(3, "same"))
    assert await ids(features, "same") == [third.id]


async def test_a_feature_changes_in_the_named_fields_only(features: FeatureCatalog) -> None:
    made = await features.create(feature(1))
    changes = {"key": "k", "name": "n", "type": FeatureType.STATIC, "metadata": {"a": "b"}, "updated_at": 9}
    changed = await features.update("org_a", made.id, changes)
    assert changed == await features.get("org_a", made.id)
    assert changed == replace(
        made, key="k", name="n", type=FeatureType.STATIC, metadata={"a": "b"}, updated_at=9
    )


async def test_features_come_in_pages_oldest_first(features: FeatureCatalog) -> None:
    for number, at in ((1, 20), (2, 20), (3, 30)):
        await features.create(feature(number, at=at))
    await features.create(feature(4, product_id="prod_a2"))
    first = await features.page("org_a", "prod_a", None, 2, 0)
    second = await features.page("org_a", "prod_a", None, 2, 2)
    beyond = await features.page("org_a", "prod_a", None, 2, 9)
    assert [one.id for one in first.items] == ["feat_a1", "feat_a2"]
    assert [one.id for one in second.items] == ["feat_a3"]
    assert (first.total, second.total, beyond.total, beyond.items) == (3, 3, 3, ())
    assert await ids(features, "key-2") == ["feat_a2"]
    assert await ids(features, "key") == []


async def test_another_merchants_features_are_not_found(features: FeatureCatalog) -> None:
    made = await features.create(feature(1))
    with pytest.raises(NotFound):
        await features.get("org_b", made.id)
    with pytest.raises(NotFound):
        await features.update("org_b", made.id, {"name": "mine"})
    with pytest.raises(NotFound):
        await features.delete("org_b", made.id, 5)
    with pytest.raises(NotFound):
        await features.page("org_b", "prod_a", None, 10, 0)
    assert await features.get("org_a", made.id) == made


# What only a database can break


@pytest.mark.parametrize("field", ["id", "merchant_id", "product_id", "created_at", "nonsense"])
async def test_what_a_feature_is_cannot_change(catalog: Catalog, field: str) -> None:
    made = await catalog.features.create(feature(1))
    with pytest.raises(ValueError, match=field):
        await catalog.features.update("org_a", made.id, {"name": "half", field: "x"})
    assert await catalog.features.get("org_a", made.id) == made


async def test_a_key_that_many_ask_for_at_once_is_given_once(catalog: Catalog, store: CatalogStore) -> None:
    async with opened(store.url) as other:
        calls = [(catalog, other)[n % 2].features.create(feature(n, "same")) for n in range(20)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    [given] = [one for one in outcomes if isinstance(one, Feature)]
    assert sum(isinstance(one, Conflict) for one in outcomes) == 19
    assert await ids(catalog.features) == [given.id]


async def test_features_are_there_after_opening_again(store: CatalogStore) -> None:
    async with opened(store.url) as catalog:
        made = await catalog.features.create(feature(1))
    async with opened(store.url) as catalog:
        assert await catalog.features.get("org_a", made.id) == made
