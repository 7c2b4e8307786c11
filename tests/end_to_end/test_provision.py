"""`meterhouse provision`: what a script needs that knows its merchant, product and key beforehand."""

from __future__ import annotations

from pathlib import Path

from tests.api import Api
from tests.running import Server, run_cli


def _provision(data: Path, *arguments: str, key: str = "") -> str:
    env = {"METERHOUSE_PROVISION_KEY": key} if key else {}
    done = run_cli("provision", *arguments, "--data", str(data), env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_key_of_ones_choosing_sees_the_product_however_often_it_is_made(server: Server) -> None:
    for _ in range(2):
        said = _provision(
            server.data, "--merchant", "org_known", "--product", "prod_known", key="mh_known_beforehand"
        )
        assert "mh_known_beforehand" not in said
    with Api(server.url, "mh_known_beforehand") as api:
        products = api.client.get("/v0/products").raise_for_status().json()
    assert [product["id"] for product in products["data"]] == ["prod_known"]


def test_a_merchant_may_come_without_product_and_key(tmp_path: Path) -> None:
    _provision(tmp_path, "--merchant", "org_bare")
    listed = run_cli("keys", "list", "--data", str(tmp_path))
    assert "org_bare" not in listed.stdout


def test_what_is_anothers_is_refused_in_a_sentence(tmp_path: Path) -> None:
    _provision(tmp_path, "--merchant", "org_a", "--product", "prod_a", key="mh_taken")
    for taken in (["--product", "prod_a"], ["--key", "mh_taken"]):
        done = run_cli("provision", "--merchant", "org_b", *taken, "--data", str(tmp_path))
        assert done.returncode == 1
        assert "another merchant" in done.stderr
        assert "Traceback" not in done.stderr
