"""Balances over 10,000,000 counted events of 1,000 customers: one, a page of 100, and how soon they are new.

One entitlement with 50 grants is asked for 50 times a second, each time on schedule, whether or not the
answer before is there. A page has 100 metered entitlements of one customer.
`python -m benchmarks.balances [--events N] [--seconds S]`
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count, pairwise
from pathlib import Path
from random import Random
from typing import Any, Final

import anyio
import clickhouse_connect
import httpx

from benchmarks.counted import chunks, merge, sum_up
from benchmarks.processes import resident_megabytes
from benchmarks.report import percentile, show
from meterhouse.domain.allowance import Allowance, cuts
from meterhouse.domain.balance import Phase, burn_down
from meterhouse.domain.grant import Grant
from meterhouse.domain.instant import DAY, HOUR, parse, render
from tests.api import Api, Json, cloud_event
from tests.running import Server

_CUSTOMERS: Final = 1000
_GRANTS: Final = 50
_PAGE: Final = 100
_RATE: Final = 50  # requests a second
_MAY: Final = parse("2026-05-01T00:00:00Z")
_AT: Final = "2026-05-31T19:44:41.654321Z"
_COUNTED: Final = 5  # each in a batch of its own, so that balances are read anew
_GOALS: Final = ("10 / 50", "10 / 50", "- / 150", "- / 1000", "20 / -")
_numbers: Final = count(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--fill", nargs=3, metavar=("FOLDER", "METRIC", "SUBJECTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        folder, metric, subjects = options.fill
        _fill(folder, metric, Path(subjects).read_text().split(), options.events)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with Server(data) as server, Api.of(server) as api:
            metric = str(api.create_metric("balanced", "SUM", valueProperty="$.tokens")["id"])
            customers = [_customer(api) for _ in range(_CUSTOMERS)]
            of_50_grants = [_with_grants(api, metric, customer) for customer in customers[:10]]
            for _ in range(_PAGE):
                _entitled(api, metric, customers[-1])
            while "meterhouse-version-state" in api.client.get(_meter(metric)).headers:
                time.sleep(0.1)
            server.stop()
        subjects = Path(folder) / "subjects"
        subjects.write_text("\n".join(customers))
        # chDB takes one data directory in a process.
        again = [sys.executable, "-m", "benchmarks.balances", "--events", str(options.events)]
        subprocess.run([*again, "--fill", str(data / "clickhouse"), metric, str(subjects)], check=True)
        with Server(data) as server, Api.of(server) as api:
            rate = f"{_RATE} a second"
            taken = {
                f"one with {_GRANTS} grants, {rate}": anyio.run(
                    _on_schedule, server, of_50_grants, options.seconds
                ),
                f"the same, {_COUNTED} events a second counted": anyio.run(
                    _while_counting, server, of_50_grants, options.seconds, customers[0]
                ),
                f"a page of {_PAGE}": _timed(lambda: _page(api, customers[-1]), 60),
                "202 to a balance that has it": list(_staleness(api, customers[0], of_50_grants[0])),
                "burn_down, 1,000 grants and resets": _burned_down(),
            }
            rows = [
                _row(what, found, goal) for (what, found), goal in zip(taken.items(), _GOALS, strict=True)
            ]
            show(f"Balances over {options.events:,} counted events", rows)
            print(f"server memory afterwards: {resident_megabytes(server.process.pid):.0f} MB")


def _row(what: str, milliseconds: list[float], goal: str) -> dict[str, str]:
    return {
        "what": what,
        "answers": f"{len(milliseconds):,}",
        "p50 ms": f"{percentile(milliseconds, 0.5):.1f}",
        "p99 ms": f"{percentile(milliseconds, 0.99):.1f}",
        "goal p50 / p99": goal,
    }


# --- what is asked ---


def _timed(ask: Callable[[], object], times: int) -> list[float]:
    """Milliseconds of each, once it is warm."""
    ask()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    return taken


async def _on_schedule(server: Server, ids: list[str], seconds: float) -> list[float]:
    """Milliseconds from when each request was due until its answer was there."""
    headers = {"authorization": f"Bearer {server.key}"}
    taken: list[float] = []
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:

        async def ask(id: str, due: float) -> None:
            response = await client.get(f"/v1/entitlements/{id}")
            response.raise_for_status()
            taken.append((anyio.current_time() - due) * 1000)

        for id in ids:
            await ask(id, anyio.current_time())
        taken.clear()
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for number in range(int(seconds * _RATE)):
                due = began + number / _RATE
                await anyio.sleep_until(due)
                tasks.start_soon(ask, ids[number % len(ids)], due)
    return taken


async def _while_counting(server: Server, ids: list[str], seconds: float, customer: str) -> list[float]:
    """The same while events are counted, of one of the customers that are asked about."""
    headers = {"authorization": f"Bearer {server.key}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:

        async def send() -> None:
            while True:
                await anyio.sleep(1 / _COUNTED)
                at = render(_MAY + 30 * DAY)
                event = cloud_event(
                    "balanced", f"c{next(_numbers)}", {"tokens": 1}, subject=customer, time=at
                )
                (await client.post("/api/v1/events", json=event)).raise_for_status()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            taken = await _on_schedule(server, ids, seconds)
            tasks.cancel_scope.cancel()
    return taken


def _balance(api: Api, id: str) -> Json:
    response = api.client.get(f"/v1/entitlements/{id}", params={"at": _AT}).raise_for_status()
    answer: Json = response.json()
    return answer


def _page(api: Api, customer: str) -> None:
    asked = {"customerId": customer, "limit": str(_PAGE), "at": _AT}
    listed = api.client.get("/v1/entitlements", params=asked).raise_for_status().json()
    if len(listed["data"]) != _PAGE:
        raise AssertionError(f"{len(listed['data'])} entitlements are listed")


def _staleness(api: Api, customer: str, id: str) -> Iterator[float]:
    """Milliseconds from the 202 until a balance, asked for without `after`, has the event."""
    for _ in range(40):
        used = _balance(api, id)["usageInPeriod"]
        time_ = render(_MAY + 30 * DAY)
        api.ingest(cloud_event("balanced", f"b{next(_numbers)}", {"tokens": 1}, subject=customer, time=time_))
        began = time.perf_counter()
        while _balance(api, id)["usageInPeriod"] == used:
            if time.perf_counter() - began > 30:
                raise AssertionError("the event is not counted")
        yield (time.perf_counter() - began) * 1000


def _burned_down() -> list[float]:
    """A thousand grants and as many resets, with usage in every phase."""
    dice = Random(7)
    grants = tuple(
        Grant(
            id=f"grt_{number}",
            amount=Decimal(dice.randrange(1, 1000)),
            effective_at=dice.randrange(1000 * DAY),
            created_at=number,
            priority=dice.randrange(3),
            reset_max_rollover=Decimal(dice.choice([0, 50, 999_999_999_999])),
        )
        for number in range(1000)
    )
    allowance = Allowance(start=0, grants=grants, resets=tuple(range(DAY, 1001 * DAY, DAY)))
    at = 1001 * DAY
    bounds = cuts(allowance, at)
    usage = [Phase(start, end, Decimal(dice.randrange(200))) for start, end in pairwise(bounds)]
    return _timed(lambda: burn_down(allowance, usage, at), 20)


# --- what is asked about ---


def _customer(api: Api) -> str:
    name = f"customer-{next(_numbers)}"
    consumer = {"name": name, "email": f"{name}@example.com", "address": {}}
    return str(_made(api, "/v0/customers", {"merchantId": "org_dev", "consumer": consumer})["customerId"])


def _entitled(api: Api, metric: str, customer: str) -> str:
    feature = {"key": f"feature-{next(_numbers)}", "name": "f", "merchantId": "org_dev"}
    measured = {"productId": "prod_dev", "type": "metered", "metadata": {"billableMetricId": metric}}
    template = {"type": "metered", "usagePeriod": {"interval": "P1W"}, "issueAfterReset": 100_000}
    wanted = {
        "customerId": customer,
        "featureId": _made(api, "/v0/features", feature | measured)["id"],
        "template": template,
        "activeFrom": render(_MAY),
    }
    return str(_made(api, "/v1/entitlements", wanted)["id"])


def _with_grants(api: Api, metric: str, customer: str) -> str:
    """An entitlement with grants that begin and end at instants of their own."""
    id, dice = _entitled(api, metric, customer), Random(customer)
    for number in range(_GRANTS - 1):
        starts = _MAY + dice.randrange(25 * DAY)
        body: dict[str, Any] = {"amount": dice.randrange(1000), "idempotencyKey": f"k{number}"}
        body |= {"amount": 1 + dice.randrange(1000), "effectiveAt": render(starts)}
        body |= {"expiresAt": render(starts + dice.randrange(HOUR, 20 * DAY))}
        _made(api, f"/v1/entitlements/{id}/grants", body)
    return id


def _made(api: Api, path: str, body: Json) -> Json:
    response = api.client.post(path, json=body).raise_for_status()
    made: Json = response.json()
    return made


def _meter(metric: str) -> str:
    return f"/v0/billableMetrics/{metric}/meter?from=2026-05-01T00:00:00Z&to=2026-06-01T00:00:00Z"


def _fill(folder: str, metric: str, subjects: list[str], events: int) -> None:
    client = clickhouse_connect.get_client(dsn=f"chdb://{folder}")
    try:
        for bound in chunks(events, subjects):
            sum_up(client, metric, bound)
        merge(client)
    finally:
        client.close()


if __name__ == "__main__":
    main()
