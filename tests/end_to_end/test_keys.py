"""`meterhouse keys`, also while the server runs."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.api import Api, cloud_event
from tests.running import Server, run_cli


def _keys(server: Server, *arguments: str) -> str:
    done = run_cli("keys", *arguments, "--data", str(server.data))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether `condition` holds before the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
    return False


def _status(server: Server, key: str) -> int:
    with Api(server.url, key) as api:
        return api.client.get("/v0/products").status_code


def test_a_key_made_while_the_server_runs_works_within_a_second(server: Server) -> None:
    key = _keys(server, "create", "--merchant", "org_late", "--name", "made late").splitlines()[-1]
    assert key == key.strip()
    assert " " not in key
    assert _within(2, lambda: _status(server, key) == 200)
    with Api(server.url, key) as api:
        metric = api.create_metric("late.key", "COUNT", merchantId="org_late", productId=_product(api))
        api.ingest(cloud_event("late.key", "late-key-1"))
        assert api.total(metric["id"]) == 1


def _product(api: Api) -> str:
    body = {"name": "p", "description": "d", "merchantId": "org_late"}
    response = api.client.post("/v0/products", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def test_a_list_shows_names_and_merchants_but_no_key(server: Server) -> None:
    key = _keys(server, "create", "--merchant", "org_listed", "--name", "shown").splitlines()[-1]
    shown = _keys(server, "list")
    assert "org_listed" in shown
    assert "shown" in shown
    assert key not in shown


def test_a_revoked_key_stops_working(server: Server) -> None:
    key = _keys(server, "create", "--merchant", "org_gone", "--name", "goner").splitlines()[-1]
    assert _within(2, lambda: _status(server, key) == 200)
    _keys(server, "revoke", _id_of(server, "org_gone"))
    assert _within(2, lambda: _status(server, key) == 401)


def _id_of(server: Server, merchant: str) -> str:
    """The first word of the merchant's row: what `revoke` takes."""
    (row,) = [line for line in _keys(server, "list").splitlines() if merchant in line]
    return next(word for word in row.replace("│", " ").split() if word)


def test_revoking_what_is_not_there_fails_in_a_sentence(server: Server) -> None:
    done = run_cli("keys", "revoke", "key_none", "--data", str(server.data))
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
