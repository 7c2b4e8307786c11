"""`meterhouse demo` against a running server."""

from __future__ import annotations

from tests.api import Api
from tests.running import Server, run_cli


def test_the_demo_counts_what_it_sent_without_its_repeats(server: Server) -> None:
    done = run_cli("demo", "--events", "2000", "--url", server.url, "--key", server.key, seconds=90)
    assert done.returncode == 0, done.stdout + done.stderr
    with Api.of(server) as api:
        listed = api.get("/v0/billableMetrics", merchantId="org_dev", limit="100")["data"]
        (requests,) = [one for one in listed if one["name"] == "Demo requests"]
        counted = int(api.total(requests["id"]))
    assert counted < 2000
    assert f"{counted:,}" in done.stdout
    assert f"{2000 - counted:,} repeats" in done.stdout


def test_the_demo_says_in_a_sentence_that_no_server_answers() -> None:
    done = run_cli("demo", "--events", "30", "--url", "http://127.0.0.1:9", "--key", "mh_dev")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
