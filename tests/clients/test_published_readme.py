"""The README of the published client: all of its Python runs, as it was published."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from query.not_offered import offered
from query.routes import ROUTERS
from tests.api import Api
from tests.clients.conftest import Running
from tests.clients.own import Own
from tests.running import clean_environment

_SCRIPT: Final = Path(__file__).with_name("readme_examples.py")
_SHOWN: Final = {"customers.create", "subscriptions.create", "events.ingest", "billable_metrics.create"}
_EXAMPLES: Final = 17


@pytest.fixture(params=["0.6.3", "0.2.16"])
def python(request: pytest.FixtureRequest) -> Path:
    """The interpreter that has this version of the client."""
    if request.param == "0.2.16":
        older: Path = request.getfixturevalue("old_python")
        return older
    return Path(sys.executable)


def test_every_example_of_the_readme_runs(server: Running, python: Path) -> None:
    outcomes = _run(server, python)
    assert len(outcomes) == _EXAMPLES + 1, outcomes
    assert {call for one in outcomes for call in one["calls"]} == _SHOWN
    has = {one.accessor for _, one, is_offered in offered(ROUTERS) if is_offered}
    for one in outcomes:
        assert one["outcome"] in (("ran", "handled 404") if has >= set(one["calls"]) else ("501",)), outcomes
    assert [one["outcome"] for one in outcomes].count("handled 404") == 1, outcomes


def _run(server: Running, python: Path) -> list[dict[str, Any]]:
    with Api(server.url, server.key) as api:
        own = Own(api)
        ids = {"org_YS8jkP59V71TdUvj": own.merchant, "prod_abc123": own.product(), "plan_abc123": own.plan()}
        ids["cus_abc123"] = own.customer()
    done = subprocess.run(
        [str(python), str(_SCRIPT), server.url, json.dumps(ids)],
        env=clean_environment({"PAYGENTIC_BEARER_AUTH": server.key}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
