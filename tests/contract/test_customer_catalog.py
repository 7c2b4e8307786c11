"""What every catalog must do for customers, and so what the fake of it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.domain.customer import Consumer, Customer, CustomerFilter, Notifications
from meterhouse.domain.errors import Conflict, NotFound
from meterhouse.domain.instant import Instant
from meterhouse.ports.catalog import CustomerCatalog
from tests.fakes_query import FakeCustomers
from tests.servers.catalogs import CatalogStore

pytestmark = pytest.mark.anyio

EVERYONE = CustomerFilter()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Catalog]:
    async with Catalog.open(url) as catalog:
        await catalog.ensure_merchant("org_a")
        await catalog.ensure_merchant("org_b")
        yield catalog


@pytest.fixture
async def catalog(store: CatalogStore) -> AsyncIterator[Catalog]:
    async with opened(store.url) as catalog:
        yield catalog


@pytest.fixture
async def customers(url_or_none: str | None) -> AsyncIterator[CustomerCatalog]:
    if url_or_none is None:
        yield FakeCustomers()
        return
    async with opened(url_or_none) as catalog:
        yield catalog.customers


def customer(
    number: int, merchant_id: str = "org_a", *, external_id: str | None = None, at: Instant = 1
) -> Customer:
    """Customer `cus_<number>` of a merchant, who is a consumer of its own."""
    mark = f"{merchant_id.removeprefix('org_')}{number}"
    return Customer(
        id=f"cus_{mark}",
        merchant_id=merchant_id,
        consumer=Consumer(
            id=f"org_consumer{mark}",
            name=f"Company {number}",
            email=f"company{number}@example.com",
            address={"line1": "1 High Street", "country": "GB"},
            phone="+44 20 0000",
        ),
        tax_id="GB123",
        external_id=external_id,
        tax_rates={"default": Decimal("13.1"), "bm_a": Decimal(0)},
        notifications=Notifications(invoice_paid=False),
        created_at=at,
        updated_at=at,
    )


def of(customer: Customer, **consumer: str) -> Customer:
    """The customer with that changed about its consumer."""
    return replace(customer, consumer=replace(customer.consumer, **consumer))  # type: ignore[arg-type] # any text


async def ids(customers: CustomerCatalog, wanted: CustomerFilter, merchant_id: str = "org_a") -> list[str]:
    page = await customers.page(merchant_id, wanted, 100, 0)
    assert page.total == len(page.items)
    return [one.id for one in page.items]


async def test_a_customer_is_kept_as_it_was_made(customers: CustomerCatalog) -> None:
    made = customer(1, external_id="acme")
    assert await customers.create(made) == made == await customers.get("org_a", made.id)
    assert await customers.consumer("org_a", made.consumer.id) == made.consumer
    bare = replace(customer(2), tax_id=None, tax_rates={}, notifications=Notifications())
    bare = replace(bare, consumer=replace(bare.consumer, phone=None, address={}))
    await customers.create(bare)
    assert await customers.get("org_a", bare.id) == bare


async def test_rates_keep_every_digit(customers: CustomerCatalog) -> None:
    rates = {"default": Decimal("0.123456789012345678"), "bm_a": Decimal(100)}
    made = await customers.create(replace(customer(1), tax_rates=rates))
    assert (await customers.get("org_a", made.id)).tax_rates == rates


async def test_a_consumer_is_a_customer_once(customers: CustomerCatalog) -> None:
    first = await customers.create(customer(1, external_id="one"))
    again = of(customer(2, external_id="two"), email=first.consumer.email)
    assert await customers.create(again) == first
    assert await customers.create(replace(again, external_id="one")) == first
    assert await ids(customers, EVERYONE) == [first.id]
    assert await customers.linked("org_a") == {"one": first.id}


async def test_an_email_in_another_case_is_the_same_consumer(customers: CustomerCatalog) -> None:
    first = await customers.create(of(customer(1), email="Ärger@Example.com"))
    assert await customers.create(of(customer(2), email="ÄRGER@example.COM")) == first


async def test_a_deleted_customer_is_gone_and_its_consumer_may_come_back(customers: CustomerCatalog) -> None:
    first = await customers.create(customer(1, external_id="acme"))
    await customers.delete("org_a", first.id, 9)
    with pytest.raises(NotFound):
        await customers.get("org_a", first.id)
    with pytest.raises(NotFound):
        await customers.update("org_a", first.id, {"tax_id": "x"})
    with pytest.raises(NotFound):
        await customers.delete("org_a", first.id, 9)
    assert await ids(customers, EVERYONE) == []
    assert (await customers.create(customer(3, external_id="acme"))).external_id == "acme"
    back = await customers.create(of(customer(2), email=first.consumer.email))
    assert (back.id, back.consumer) == ("cus_a2", first.consumer)


async def test_an_external_id_belongs_to_one_customer_of_a_merchant(customers: CustomerCatalog) -> None:
    first = await customers.create(customer(1, external_id="acme"))
    second = await customers.create(customer(2, external_id="other"))
    with pytest.raises(Conflict, match="acme"):
        await customers.create(customer(3, external_id="acme"))
    with pytest.raises(Conflict, match="acme"):
        await customers.create(replace(second, external_id="acme"))
    with pytest.raises(Conflict, match="acme"):
        await customers.update("org_a", second.id, {"external_id": "acme", "tax_id": "half"})
    assert await customers.get("org_a", second.id) == second
    assert await ids(customers, EVERYONE) == [first.id, second.id]
    theirs = await customers.create(customer(1, "org_b", external_id="acme"))
    assert theirs.external_id == "acme"
    await customers.update("org_a", first.id, {"external_id": "acme", "updated_at": 3})
    await customers.update("org_a", first.id, {"external_id": None})
    await customers.update("org_a", second.id, {"external_id": "acme"})
    assert await customers.linked("org_a") == {"acme": second.id}


async def test_a_customer_changes_in_the_named_fields_only(customers: CustomerCatalog) -> None:
    made = await customers.create(customer(1, external_id="acme"))
    changes = {"tax_rates": {"default": Decimal("7.5")}, "renewal_reminder": False, "updated_at": 9}
    changed = await customers.update("org_a", made.id, changes)
    assert changed == await customers.get("org_a", made.id)
    assert changed == replace(
        made,
        tax_rates={"default": Decimal("7.5")},
        notifications=Notifications(invoice_paid=False, renewal_reminder=False),
        updated_at=9,
    )
    cleared = await customers.update("org_a", made.id, {"tax_id": None, "external_id": None, "tax_rates": {}})
    assert cleared == replace(changed, tax_id=None, external_id=None, tax_rates={})


async def test_customers_come_in_pages_oldest_first(customers: CustomerCatalog) -> None:
    for number, at in ((1, 20), (2, 20), (3, 30)):
        await customers.create(customer(number, at=at))
    await customers.create(customer(4, "org_b"))
    first = await customers.page("org_a", EVERYONE, 2, 0)
    second = await customers.page("org_a", EVERYONE, 2, 2)
    beyond = await customers.page("org_a", EVERYONE, 2, 9)
    assert [one.id for one in first.items] == ["cus_a1", "cus_a2"]
    assert [one.id for one in second.items] == ["cus_a3"]
    assert (first.total, second.total, beyond.total, beyond.items) == (3, 3, 3, ())


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (CustomerFilter(name="größe"), ["cus_a1"]),
        (CustomerFilter(name="GRÖSSE"), ["cus_a1"]),
        (CustomerFilter(name="100%"), ["cus_a2"]),
        (CustomerFilter(name="0%_"), ["cus_a2"]),
        (CustomerFilter(name="%%%"), []),
        (CustomerFilter(name="a_b"), ["cus_a3"]),
        (CustomerFilter(name="a/b"), ["cus_a4"]),
        (CustomerFilter(name="a\\b"), []),
        (CustomerFilter(email="@NORTH.example"), ["cus_a1", "cus_a2"]),
        (CustomerFilter(email="_north"), []),
        (CustomerFilter(email="north", name="größe"), ["cus_a1"]),
        (CustomerFilter(external_id="x3"), ["cus_a3"]),
        (CustomerFilter(external_id="X3"), []),
        (CustomerFilter(external_id="x"), []),
        (CustomerFilter(external_id="x3", name="größe"), []),
    ],
)
async def test_customers_are_found_by_parts_of_name_and_email_and_by_external_id(
    customers: CustomerCatalog, wanted: CustomerFilter, found: list[str]
) -> None:
    names = ("Große Größe", "100%_sure", "a_b", "a/b axb")
    emails = ("one@North.example", "two@north.example", "three@south.example", "four@south.example")
    for number, (name, email) in enumerate(zip(names, emails, strict=True), start=1):
        made = customer(number, external_id=f"x{number}", at=number)
        await customers.create(of(made, name=name, email=email))
        await customers.create(
            of(customer(number, "org_b", external_id=f"x{number}"), name=name, email=email)
        )
    assert await ids(customers, wanted) == found


async def test_external_ids_lead_to_customers_and_back(customers: CustomerCatalog) -> None:
    for number, external_id in ((1, "one"), (2, None), (3, "three")):
        await customers.create(customer(number, external_id=external_id))
    await customers.create(customer(4, "org_b", external_id="one"))
    assert await customers.linked("org_a") == {"one": "cus_a1", "three": "cus_a3"}
    assert await customers.linked("org_nobody") == {}
    asked = ["cus_a1", "cus_a2", "cus_b4", "cus_none", "cus_a1"]
    assert await customers.external_ids("org_a", asked) == {"cus_a1": "one"}
    assert await customers.external_ids("org_b", asked) == {"cus_b4": "one"}
    assert await customers.external_ids("org_a", []) == {}


async def test_external_ids_of_very_many_customers_are_found(customers: CustomerCatalog) -> None:
    await customers.create(customer(1, external_id="one"))
    await customers.create(customer(2, external_id="two"))
    asked = ["cus_a1", *[f"cus_x{number}" for number in range(70_000)], "cus_a2"]
    assert await customers.external_ids("org_a", asked) == {"cus_a1": "one", "cus_a2": "two"}


async def test_another_merchants_customers_are_not_found(customers: CustomerCatalog) -> None:
    made = await customers.create(customer(1))
    with pytest.raises(NotFound):
        await customers.get("org_b", made.id)
    with pytest.raises(NotFound):
        await customers.update("org_b", made.id, {"external_id": "mine"})
    with pytest.raises(NotFound):
        await customers.delete("org_b", made.id, 9)
    with pytest.raises(NotFound):
        await customers.consumer("org_b", made.consumer.id)
    assert await ids(customers, EVERYONE, "org_b") == []
    assert await customers.get("org_a", made.id) == made


async def test_merchants_do_not_share_consumers(customers: CustomerCatalog) -> None:
    first = await customers.create(customer(1))
    theirs = await customers.create(of(customer(1, "org_b"), name="Theirs"))
    assert first.consumer.email == theirs.consumer.email
    assert (theirs.id, theirs.consumer.id, theirs.consumer.name) == ("cus_b1", "org_consumerb1", "Theirs")


# What only a database can break


async def test_a_merchant_that_is_not_there_has_no_customers(catalog: Catalog) -> None:
    with pytest.raises(NotFound):
        await catalog.customers.create(customer(1, "org_nobody"))


@pytest.mark.parametrize("field", ["id", "merchant_id", "consumer_id", "created_at", "nonsense"])
async def test_what_a_customer_is_cannot_change(catalog: Catalog, field: str) -> None:
    made = await catalog.customers.create(customer(1))
    with pytest.raises(ValueError, match=field):
        await catalog.customers.update("org_a", made.id, {"tax_id": "half", field: "x"})
    assert await catalog.customers.get("org_a", made.id) == made


async def test_a_consumer_that_is_sent_many_times_at_once_is_one_customer(
    catalog: Catalog, store: CatalogStore
) -> None:
    async with opened(store.url) as other:
        wanted = [of(customer(number), email="one@example.com") for number in range(20)]
        made = await asyncio.gather(
            *[(catalog, other)[number % 2].customers.create(one) for number, one in enumerate(wanted)]
        )
    assert len({one.id for one in made}) == 1
    assert await ids(catalog.customers, EVERYONE) == [made[0].id]


async def test_an_external_id_that_many_ask_for_at_once_is_given_once(
    catalog: Catalog, store: CatalogStore
) -> None:
    async with opened(store.url) as other:
        wanted = [customer(number, external_id="acme") for number in range(20)]
        calls = [(catalog, other)[number % 2].customers.create(one) for number, one in enumerate(wanted)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    [given] = [one for one in outcomes if isinstance(one, Customer)]
    assert sum(isinstance(one, Conflict) for one in outcomes) == 19
    assert await catalog.customers.linked("org_a") == {"acme": given.id}


async def test_customers_are_there_after_opening_again(store: CatalogStore) -> None:
    async with opened(store.url) as catalog:
        made = await catalog.customers.create(customer(1, external_id="acme"))
    async with opened(store.url) as catalog:
        assert await catalog.customers.get("org_a", made.id) == made
