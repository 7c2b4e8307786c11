"""`meterhouse demo`: a day of AI-API usage, sent to a running server and read back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Annotated, Any

import httpx
import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from meterhouse.adapters.clock import SystemClock
from meterhouse.development import DEV_KEY, PRODUCT
from meterhouse.domain.errors import MeterhouseError
from meterhouse.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse, render
from meterhouse.domain.position import parse_positions, render_positions

CUSTOMERS = ("cus_atlas", "cus_borealis", "cus_cirrus", "cus_delta", "cus_ember")
MODELS = ("swift-1", "swift-1-long", "deep-2", "vision-1")
EVENT_TYPE = "demo.completion"
BATCH = 500

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder().encode


class DemoFailed(MeterhouseError):
    """The server did not do what the demo asked; the message says what it answered."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What went out: how many events in all, how many of them twice, and where the log ended up."""

    events: int
    repeats: int
    positions: str


app = typer.Typer(add_completion=False)


@app.command()
def demo(
    events: Annotated[int, typer.Option(min=30, max=10_000_000, help="How many events to send.")] = 5_000,
    url: Annotated[
        str, typer.Option(envvar="METERHOUSE_DEMO_URL", help="A running server.")
    ] = "http://127.0.0.1:8080",
    key: Annotated[
        str, typer.Option(envvar="METERHOUSE_DEMO_KEY", help="A key of merchant org_dev.")
    ] = DEV_KEY,
) -> None:
    """Send a day of AI-API usage to a running server and show what it counted."""
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        try:
            _run(Console(), client, events=events, now=SystemClock().now())
        except httpx.TransportError as error:
            raise DemoFailed(
                f"{url} does not answer ({error}); is `meterhouse dev` running there?"
            ) from error


def _run(console: Console, client: httpx.Client, *, events: int, now: Instant) -> None:
    run_id = secrets.token_hex(4)
    metrics = _metrics(client)
    sent = _send(console, client, _usage(run_id, events, now))
    period = {"from": render(now - DAY), "to": render(now + MINUTE), "after": sent.positions}
    question = period | {"filterGroupBy": _encode({"run": run_id}).decode()}

    by_customer = {
        name: _get(client, f"/v0/billableMetrics/{id}/meter", question | {"groupBy": "subject"})
        for name, id in metrics.items()
    }
    hourly = _get(
        client, f"/v0/billableMetrics/{metrics['Demo tokens']}/meter", question | {"windowSize": "HOUR"}
    )
    console.print(_table(by_customer))
    console.print(_chart(hourly))
    counted = int(by_customer["Demo requests"]["totalValue"])
    console.print(
        f"Sent {sent.events:,} events; {counted:,} counted. "
        f"{sent.events - counted:,} repeats of an earlier event were not counted again."
    )
    if sent.events - counted != sent.repeats:
        raise DemoFailed(f"{sent.repeats} repeats were sent, but {sent.events - counted} were left out")


def _metrics(client: httpx.Client) -> dict[str, str]:
    """The demo's billable metrics by name, created where this merchant has none yet."""
    dimensions = {"model": "$.model", "run": "$.run"}
    wanted = {
        "Demo requests": {"aggregation": "COUNT", "unit": "requests"},
        "Demo tokens": {"aggregation": "SUM", "unit": "tokens", "valueProperty": "$.tokens.total"},
        "Demo users": {"aggregation": "UNIQUE_COUNT", "unit": "users", "valueProperty": "$.user"},
    }
    product = _get(client, f"/v0/products/{PRODUCT}", {})
    merchant = product["merchantId"]
    found: dict[str, str] = {}
    offset, total = 0, 1
    while offset < total:
        page = _get(
            client, "/v0/billableMetrics", {"merchantId": merchant, "limit": "100", "offset": str(offset)}
        )
        found |= {
            metric["name"]: metric["id"] for metric in page["data"] if metric["eventType"] == EVENT_TYPE
        }
        offset, total = offset + 100, page["pagination"]["total"]
    for name, definition in wanted.items():
        if name not in found:
            body = definition | {
                "name": name,
                "description": "Made by `meterhouse demo`.",
                "merchantId": merchant,
                "productId": PRODUCT,
                "eventType": EVENT_TYPE,
                "groupBy": dimensions,
            }
            found[name] = _answer(client.post("/v0/billableMetrics", json=body), 201)["id"]
    return {name: found[name] for name in wanted}


def _usage(run_id: str, events: int, now: Instant) -> list[dict[str, object]]:
    """Events of the last day: some late, and one in thirty sent again, in a random place after the first."""
    random = Random(run_id)  # noqa: S311 - made-up usage, not a secret
    repeats = events // 30
    firsts = [_event(random, run_id, number, now) for number in range(events - repeats)]
    again = random.sample(firsts, repeats)
    return firsts + again


def _event(random: Random, run_id: str, number: int, now: Instant) -> dict[str, object]:
    late = random.random() < 0.05
    age = random.randrange(HOUR, DAY - HOUR) if late else random.randrange(SECOND, 12 * HOUR)
    customer = random.choices(CUSTOMERS, weights=(40, 25, 20, 10, 5))[0]
    prompt, completion = random.randrange(20, 4000), random.randrange(1, 1500)
    return {
        "specversion": "1.0",
        "id": f"{run_id}-{number}",
        "source": "/demo/gateway",
        "type": EVENT_TYPE,
        "subject": customer,
        "time": render(now - age),
        "data": {
            "run": run_id,
            "model": random.choice(MODELS),
            "user": f"{customer}/{random.randrange(200)}",
            "tokens": {"prompt": prompt, "completion": completion, "total": prompt + completion},
        },
    }


def _send(console: Console, client: httpx.Client, events: Sequence[Mapping[str, object]]) -> Sent:
    ids = {str(event["id"]) for event in events}
    positions = ""
    columns = (TextColumn("Sending events"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("send", total=len(events))
        for batch in _batches(events):
            response = client.post(
                "/api/v1/events",
                content=_encode(batch),
                headers={"content-type": "application/cloudevents-batch+json"},
            )
            position = str(_answer(response, 202)["position"])
            merged = f"{positions},{position}" if positions else position
            positions = render_positions(parse_positions(merged))
            progress.advance(task, len(batch))
    return Sent(len(events), len(events) - len(ids), positions)


def _batches(events: Sequence[Mapping[str, object]]) -> Iterator[Sequence[Mapping[str, object]]]:
    for start in range(0, len(events), BATCH):
        yield events[start : start + BATCH]


def _get(client: httpx.Client, path: str, params: Mapping[str, str]) -> Any:
    return _answer(client.get(path, params=params), 200)


def _answer(response: httpx.Response, expected: int) -> Any:
    if response.status_code != expected:
        raise DemoFailed(f"{response.request.method} {response.url}: {response.status_code} {response.text}")
    return _decode(response.content)


def _table(by_customer: Mapping[str, Any]) -> Table:
    table = Table("customer", title="Usage by customer, last 24 hours")
    figures: dict[str, dict[str, object]] = {}
    for name, usage in by_customer.items():
        table.add_column(name.removeprefix("Demo "), justify="right")
        for group in usage["groupedValues"]:
            figures.setdefault(group["groupBy"]["subject"], {})[name] = group["value"]
    for customer, row in sorted(figures.items()):
        table.add_row(customer, *[f"{row.get(name, 0):,}" for name in by_customer])
    table.add_section()
    table.add_row("all", *[f"{usage['totalValue']:,}" for usage in by_customer.values()])
    return table


def _chart(hourly: Any) -> Table:
    """A bar per hour, the longest 40 cells."""
    table = Table("hour (UTC)", "tokens", title="Tokens by hour", box=None)
    table.add_column(justify="right")
    windows = hourly["windowedValues"]
    most = max((window["value"] for window in windows), default=1)
    for window in windows:
        hour = render(parse(window["windowStart"]))[5:16].replace("T", " ")
        table.add_row(hour, "█" * max(1, int(window["value"] * 40 // most)), f"{window['value']:,}")
    return table
