"""Customers over HTTP (contract 3.6 and 9)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.api import decode
from tests.fakes_query import MERCHANT, OTHER_KEY, OTHER_MERCHANT, QueryService, customer_body

pytestmark = pytest.mark.anyio

ADDRESS = {"line1": "1 High Street", "city": "London", "country": "GB", "zipCode": "N1 1AA"}


@pytest.fixture
def service() -> QueryService:
    return QueryService()


def consumer(**fields: object) -> dict[str, object]:
    return {"name": "Acme", "email": "billing@acme.example", "address": {}} | fields


async def post(service: QueryService, **fields: object) -> httpx.Response:
    return await service.client.post("/v0/customers", json=customer_body(**fields))


async def made(service: QueryService, **fields: object) -> str:
    """The id of a new customer."""
    response = await post(service, **fields)
    assert response.status_code == 201, response.text
    return str(response.json()["customerId"])


async def shown(service: QueryService, id: str) -> dict[str, Any]:
    response = await service.client.get(f"/v0/customers/{id}")
    assert response.status_code == 200, response.text
    body: dict[str, Any] = decode(response.content)
    return body


async def test_a_created_customer_has_every_field_of_the_contract(service: QueryService) -> None:
    response = await post(
        service,
        consumer=consumer(address=ADDRESS, phone="+44 20 0000"),
        taxId="GB123",
        externalId="acme-1",
        taxRates={"default": 13.0, "bm_a": 0.1},
    )
    id = response.json()["customerId"]
    assert (response.status_code, response.json()) == (
        201,
        {"customerId": id, "validTaxAddress": {"valid": True}},
    )
    body = await shown(service, id)
    assert id.startswith("cus_")
    assert body["consumerId"].startswith("org_")
    assert body == {
        "id": id,
        "object": "customer",
        "merchantId": MERCHANT,
        "consumerId": body["consumerId"],
        "organization": {
            "id": body["consumerId"],
            "name": "Acme",
            "address": ADDRESS,
            "billingEmails": ["billing@acme.example"],
            "phone": "+44 20 0000",
        },
        "taxId": "GB123",
        "externalId": "acme-1",
        "taxRates": {"default": 13, "bm_a": Decimal("0.1")},
        "notificationSettings": {"invoiceIssued": True, "invoicePaid": True, "renewalReminder": True},
        "validTaxAddress": {"valid": True},
        "createdAt": "2026-05-01T12:00:01Z",
        "updatedAt": "2026-05-01T12:00:01Z",
    }


async def test_what_is_not_known_of_a_customer_is_left_out(service: QueryService) -> None:
    body = await shown(service, await made(service))
    assert not body.keys() & {"taxId", "externalId", "taxRates"}
    assert body["organization"].keys() == {"id", "name", "address", "billingEmails"}
    assert body["organization"]["address"] == {}


async def test_tax_rates_keep_every_digit(service: QueryService) -> None:
    content = (
        '{"merchantId":"org_a","consumer":{"name":"n","email":"a@b","address":{}},'
        '"taxRates":{"default":8.123456789012345678,"plan_a":1E2}}'
    )
    headers = {"content-type": "application/json"}
    response = await service.client.post("/v0/customers", content=content, headers=headers)
    answer = await service.client.get(f"/v0/customers/{response.json()['customerId']}")
    assert '"taxRates":{"default":8.123456789012345678,"plan_a":100}' in answer.text


@pytest.mark.parametrize(
    ("address", "kept", "missing"),
    [
        ({}, {}, "line1, city, country, zipCode"),
        (ADDRESS, ADDRESS, ""),
        ({**ADDRESS, "zipCode": ""}, {**ADDRESS, "zipCode": ...}, "zipCode"),
        ({**ADDRESS, "line1": None, "line2": "b"}, {**ADDRESS, "line1": ..., "line2": "b"}, "line1"),
        ({**ADDRESS, "zipCode": ..., "postalCode": "N1 1AA", "planet": "Earth"}, ADDRESS, ""),
    ],
)
async def test_an_address_is_kept_as_it_was_given_and_says_what_it_lacks(
    service: QueryService, address: dict[str, object], kept: dict[str, object], missing: str
) -> None:
    given = {name: text for name, text in address.items() if text is not ...}
    response = await post(service, consumer=consumer(address=given))
    valid = {"valid": False, "message": f"the address lacks {missing}"} if missing else {"valid": True}
    assert response.json()["validTaxAddress"] == valid
    body = await shown(service, response.json()["customerId"])
    assert body["organization"]["address"] == {name: text for name, text in kept.items() if text is not ...}
    assert body["validTaxAddress"] == valid


async def test_a_consumer_that_is_a_customer_already_is_answered_as_it_is(service: QueryService) -> None:
    id = await made(service, externalId="acme-1")
    before = await shown(service, id)
    again = consumer(name="Another name", email="BILLING@acme.example", address=ADDRESS)
    response = await post(service, consumer=again, externalId="acme-2", taxRates={"default": 1})
    assert (response.status_code, response.json()["customerId"]) == (200, id)
    assert response.json()["validTaxAddress"]["valid"] is False
    response = await post(service, consumer=..., consumerId=before["consumerId"])
    assert (response.status_code, response.json()["customerId"]) == (200, id)
    assert await shown(service, id) == before


async def test_a_consumer_may_be_named_by_its_id(service: QueryService) -> None:
    id = await made(service)
    before = await shown(service, id)
    assert (await service.client.delete(f"/v0/customers/{id}")).status_code == 204
    body = await shown(service, await made(service, consumer=..., consumerId=before["consumerId"]))
    assert (body["organization"], body["id"] != id) == (before["organization"], True)


async def test_a_consumer_of_nobody_or_another_merchant_is_not_found(service: QueryService) -> None:
    async with service.client_of(OTHER_KEY) as stranger:
        response = await stranger.post("/v0/customers", json=customer_body(merchantId=OTHER_MERCHANT))
        theirs = (await stranger.get(f"/v0/customers/{response.json()['customerId']}")).json()
    for id in (theirs["consumerId"], "org_none"):
        assert (await post(service, consumer=..., consumerId=id)).status_code == 404
    mine = await shown(service, await made(service))
    assert mine["organization"]["billingEmails"] == theirs["organization"]["billingEmails"]
    assert mine["consumerId"] != theirs["consumerId"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"consumer": ...}, "consumer"),
        ({"consumerId": "org_1"}, "consumerId"),
        ({"consumer": ..., "consumerId": "cus_1"}, "consumerId"),
        ({"merchantId": ...}, "merchantId"),
        ({"consumer": consumer(name="")}, "consumer.name"),
        ({"consumer": consumer(email="nobody")}, "consumer.email"),
        ({"consumer": consumer(email="a b@c")}, "consumer.email"),
        ({"consumer": {"name": "n", "email": "a@b"}}, "consumer.address"),
        ({"consumer": consumer(address={"country": "GBR"})}, "consumer.address.country"),
        ({"consumer": consumer(address={"city": "a\nb"})}, "consumer.address.city"),
        ({"externalId": "x" * 256}, "externalId"),
        ({"externalId": ""}, "externalId"),
        ({"taxId": ""}, "taxId"),
        ({"taxRates": 13}, "taxRates"),
        ({"taxRates": {"default": -0.1}}, "taxRates.default"),
        ({"taxRates": {"default": 100.01}}, "taxRates.default"),
        ({"taxRates": {"default": "13"}}, "taxRates.default"),
        ({"taxRates": {"default": True}}, "taxRates.default"),
        ({"taxRates": {"default": None}}, "taxRates.default"),
        ({"taxRates": {"default": 1e-19}}, "taxRates.default"),
    ],
)
async def test_a_wrong_field_is_named(service: QueryService, fields: dict[str, object], named: str) -> None:
    response = await post(service, **fields)
    assert response.status_code == 400, response.text
    assert [problem["field"] for problem in response.json()["errors"]] == [named]


@pytest.mark.parametrize("rate", ["NaN", "Infinity", "1e999999", "1e-999999", "1e99999999999999999999"])
async def test_a_rate_that_is_no_percentage_is_refused(service: QueryService, rate: str) -> None:
    id = await made(service)
    headers = {"content-type": "application/json"}
    path = f"/v0/customers/{id}"
    response = await service.client.patch(path, content=f'{{"taxRates":{rate}}}', headers=headers)
    assert response.status_code == 400, response.text


async def test_a_taken_external_id_is_a_conflict(service: QueryService) -> None:
    first = await made(service, externalId="acme-1")
    other = consumer(email="other@acme.example")
    assert (await post(service, consumer=other, externalId="acme-1")).status_code == 409
    second = await made(service, consumer=other)
    path = f"/v0/customers/{second}"
    response = await service.client.patch(path, json={"externalId": "acme-1"})
    assert (response.status_code, response.json()["error"]) == (409, "conflict")
    assert (await service.client.delete(f"/v0/customers/{first}")).status_code == 204
    assert (await service.client.patch(path, json={"externalId": "acme-1"})).status_code == 200


async def test_what_is_absent_stays_and_null_clears(service: QueryService) -> None:
    id = await made(service, taxId="GB123", externalId="acme-1", taxRates={"plan_a": 5})
    before = await shown(service, id)
    path = f"/v0/customers/{id}"
    nothing: dict[str, object] = {"notificationSettings": {}}
    for same in ({}, nothing):
        assert decode((await service.client.patch(path, json=same)).content) == before
    changed = decode((await service.client.patch(path, json={"taxRates": 7.5})).content)
    assert changed["taxRates"] == {"default": Decimal("7.5")}
    assert (changed["taxId"], changed["externalId"]) == ("GB123", "acme-1")
    assert changed["updatedAt"] > changed["createdAt"]
    changed = (await service.client.patch(path, json={"taxRates": {"bm_a": 1, "default": 2}})).json()
    assert changed["taxRates"] == {"bm_a": 1, "default": 2}
    cleared = (
        await service.client.patch(path, json={"taxId": None, "externalId": None, "taxRates": {}})
    ).json()
    assert not cleared.keys() & {"taxId", "externalId", "taxRates"}


async def test_notifications_change_one_by_one(service: QueryService) -> None:
    path = f"/v0/customers/{await made(service)}"
    for name in ("invoicePaid", "renewalReminder"):
        response = await service.client.patch(path, json={"notificationSettings": {name: False}})
    assert response.json()["notificationSettings"] == {
        "invoiceIssued": True,
        "invoicePaid": False,
        "renewalReminder": False,
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"taxRates": None}, "taxRates"),
        ({"taxRates": 101}, "taxRates.default"),
        ({"taxRates": "13"}, "taxRates.default"),
        ({"notificationSettings": None}, "notificationSettings"),
        ({"notificationSettings": {"invoicePaid": None}}, "notificationSettings.invoicePaid"),
        ({"notificationSettings": {"invoicePaid": "no"}}, "notificationSettings.invoicePaid"),
        ({"externalId": ""}, "externalId"),
    ],
)
async def test_a_change_to_nothing_sensible_is_refused_by_name(
    service: QueryService, changes: dict[str, object], field: str
) -> None:
    response = await service.client.patch(f"/v0/customers/{await made(service)}", json=changes)
    assert response.status_code == 400
    assert [problem["field"] for problem in response.json()["errors"]] == [field]


async def test_customers_are_listed_by_either_name_of_the_merchant(service: QueryService) -> None:
    ids = [await made(service, consumer=consumer(email=f"{number}@acme.example")) for number in range(3)]
    for name in ("organizationId", "merchantId"):
        asked = {name: MERCHANT, "limit": "2", "offset": "1"}
        page = (await service.client.get("/v0/customers", params=asked)).json()
        assert [customer["id"] for customer in page["data"]] == ids[1:]
        assert (page["object"], page["pagination"]) == ("list", {"limit": 2, "offset": 1, "total": 3})


async def test_customers_are_found_by_name_email_and_external_id(service: QueryService) -> None:
    first = await made(service, externalId="acme-1")
    second = await made(service, consumer=consumer(name="Bolt", email="office@bolt.example"))

    async def found(**asked: str) -> list[str]:
        params = {"organizationId": MERCHANT} | asked
        page = (await service.client.get("/v0/customers", params=params)).json()
        return [customer["id"] for customer in page["data"]]

    assert await found(name="ACM") == [first]
    assert await found(email="bolt.ex") == [second]
    assert await found(externalId="acme-1") == [first]
    assert await found(externalId="acme") == []
    assert await found(name="acm", email="bolt") == []


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "organizationId"),
        ({"organizationId": "nobody"}, "organizationId"),
        ({"organizationId": MERCHANT, "name": "ab"}, "name"),
        ({"organizationId": MERCHANT, "name": "a" * 256}, "name"),
        ({"organizationId": MERCHANT, "email": "ab"}, "email"),
        ({"organizationId": MERCHANT, "limit": "101"}, "limit"),
        ({"organizationId": MERCHANT, "offset": "-1"}, "offset"),
    ],
)
async def test_a_question_that_cannot_be_answered_names_its_field(
    service: QueryService, asked: dict[str, str], field: str
) -> None:
    response = await service.client.get("/v0/customers", params=asked)
    assert response.status_code == 400
    assert [problem["field"] for problem in response.json()["errors"]] == [field]


async def test_speaking_for_another_merchant_is_forbidden(service: QueryService) -> None:
    assert (await post(service, merchantId=OTHER_MERCHANT)).status_code == 403
    asked = ({"organizationId": OTHER_MERCHANT}, {"merchantId": OTHER_MERCHANT})
    for params in (*asked, {"organizationId": MERCHANT, "merchantId": OTHER_MERCHANT}):
        assert (await service.client.get("/v0/customers", params=params)).status_code == 403


async def test_another_merchants_customer_is_not_found(service: QueryService) -> None:
    id = await made(service)
    async with service.client_of(OTHER_KEY) as stranger:
        path = f"/v0/customers/{id}"
        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.patch(path, json={"externalId": "mine"})).status_code == 404
        assert (await stranger.patch(path, json={})).status_code == 404
        assert (await stranger.delete(path)).status_code == 404
    assert "externalId" not in await shown(service, id)


async def test_a_deleted_customer_is_gone(service: QueryService) -> None:
    path = f"/v0/customers/{await made(service)}"
    response = await service.client.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert (await service.client.get(path)).status_code == 404
    assert (await service.client.delete(path)).status_code == 404
    page = (await service.client.get("/v0/customers", params={"merchantId": MERCHANT})).json()
    assert (page["data"], page["pagination"]["total"]) == ([], 0)
