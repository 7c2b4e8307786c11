"""Whatever schemathesis thinks of, the server answers as its own OpenAPI document says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx

from tests.clients.conftest import Running
from tests.running import clean_environment

_CHECKS: Final = (
    "not_a_server_error",
    "response_schema_conformance",
    "status_code_conformance",
    "content_type_conformance",
)

# A position that the log has not reached yet is waited for and then a 504; and a method that the document has
# not, of a path that it has, may be an operation that is not offered: 501. Both are the truth.
_CONFIGURATION: Final = """
[checks]
not_a_server_error = { expected-statuses = ["2xx", "4xx", "501", "504"] }
"""


def test_answers_conform_to_the_document(server: Running, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(_CONFIGURATION)
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")),
            "run",
            f"{server.url}/openapi.json",
            "--header",
            f"Authorization: Bearer {server.key}",
            "--checks",
            ",".join(_CHECKS),
            "--phases",
            "examples,coverage,fuzzing",
            "--max-time",
            "40",
            "--max-examples",
            "40",
            "--seed",
            "3",
            "--request-timeout",
            "20",
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",  # of data that it could not make up: they would fill the message
            "--no-color",
        ],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_the_document_describes_ingest_and_query_alike(server: Running) -> None:
    paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert {
        ("post", "/v0/events"),
        ("post", "/api/v1/events"),
        ("get", "/api/v1/events/{id}"),
        ("post", "/v0/billableMetrics"),
        ("get", "/v0/billableMetrics"),
        ("get", "/v0/billableMetrics/{id}"),
        ("patch", "/v0/billableMetrics/{id}"),
        ("get", "/v0/billableMetrics/{id}/meter"),
        ("get", "/v0/billableMetrics/{id}/events"),
        ("post", "/v0/products"),
        ("get", "/v0/products"),
        ("get", "/v0/products/{id}"),
        ("patch", "/v0/products/{id}"),
        ("post", "/v0/features"),
        ("get", "/v0/features"),
        ("get", "/v0/features/{id}"),
        ("patch", "/v0/features/{id}"),
        ("delete", "/v0/features/{id}"),
        ("post", "/v0/items"),
        ("get", "/v0/items"),
        ("get", "/v0/items/{id}"),
        ("patch", "/v0/items/{id}"),
        ("post", "/v0/externalReferences"),
        ("get", "/v0/externalReferences"),
        ("get", "/v0/externalReferences/{id}"),
        ("patch", "/v0/externalReferences/{id}"),
        ("delete", "/v0/externalReferences/{id}"),
        ("post", "/v0/fees"),
        ("get", "/v0/fees"),
        ("get", "/v0/fees/{id}"),
        ("patch", "/v0/fees/{id}"),
        ("delete", "/v0/fees/{id}"),
        ("post", "/v0/prices"),
        ("get", "/v0/prices"),
        ("get", "/v0/prices/{id}"),
        ("patch", "/v0/prices/{id}"),
        ("delete", "/v0/prices/{id}"),
        ("post", "/v0/costs"),
        ("get", "/v0/costs"),
        ("get", "/v0/costs/report"),
        ("get", "/v0/costs/{id}"),
        ("patch", "/v0/costs/{id}"),
        ("delete", "/v0/costs/{id}"),
        ("get", "/v0/costs/{id}/summary"),
        ("get", "/v0/revenue"),
        ("get", "/v0/profitability"),
        ("post", "/v0/plans"),
        ("get", "/v0/plans"),
        ("get", "/v0/plans/available"),
        ("get", "/v0/plans/{id}"),
        ("patch", "/v0/plans/{id}"),
        ("post", "/v0/plans/{id}/versions"),
        ("get", "/v0/plans/{id}/versions"),
        ("get", "/v0/plans/{id}/versions/{id}"),
        ("patch", "/v0/plans/{id}/versions/{id}"),
        ("post", "/v0/customers"),
        ("get", "/v0/customers"),
        ("get", "/v0/customers/{id}"),
        ("patch", "/v0/customers/{id}"),
        ("delete", "/v0/customers/{id}"),
    } <= {(method, re.sub(r"\{\w+\}", "{id}", path)) for path, item in paths.items() for method in item}
