"""The events that an aggregator is given to count, and what is asked of them.

Times span an hour, 1,000 subjects, three metrics match each event, two of them with dimensions.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.usage import ClickHouseUsage
from meterhouse.adapters.cloudevents_json import encode
from meterhouse.domain.billable_metric import Aggregation, BillableMetric
from meterhouse.domain.event import Event
from meterhouse.domain.instant import HOUR, parse
from meterhouse.domain.usage import UsageQuestion
from meterhouse.domain.window import Window
from meterhouse.ports.log import LogWriter

METRICS: Final = (
    ("bm_tokens", Aggregation.SUM, "$.tokens", {"model": "$.model", "region": "$.region"}),
    ("bm_latency", Aggregation.MAX, "$.latency", {"model": "$.model"}),
    ("bm_requests", Aggregation.COUNT, None, None),
)

_FIRST: Final = parse("2026-05-01T12:00:00Z")
_CHUNK: Final = 10_000
_MERCHANT: Final = "org_dev"


async def fill(log: LogWriter, events: int) -> None:
    """Append that many events."""
    choice = random.Random(5)
    for first in range(0, events, _CHUNK):
        chunk = range(first, min(events, first + _CHUNK))
        await log.append([encode(event) for event in _events(choice, chunk)])


def _events(choice: random.Random, numbers: range) -> Iterator[Event]:
    for number in numbers:
        model, region = f"model-{choice.randrange(5)}", choice.choice(("eu", "us", "ap"))
        tokens, latency = choice.randrange(8000), Decimal(choice.randrange(10**6)) / 1000
        yield Event(
            namespace=_MERCHANT,
            source="/benchmark",
            id=f"0197c5a0-{number:012x}",
            type="ai.completion",
            time=_FIRST + choice.randrange(HOUR),
            received_at=_FIRST + HOUR + number,
            subject=f"cus_{choice.randrange(1000)}",
            data=f'{{"model":"{model}","region":"{region}","tokens":{tokens},"latency":{latency}}}'.encode(),
        )


async def define(catalog: Catalog) -> None:
    """Make the metrics, and the merchant and product that they belong to."""
    await catalog.ensure_merchant(_MERCHANT)
    await catalog.ensure_product(_MERCHANT, "prod_dev")
    for id, aggregation, value_property, group_by in METRICS:
        metric = BillableMetric(
            id=id,
            merchant_id=_MERCHANT,
            product_id="prod_dev",
            item_id=None,
            name=id,
            description="",
            unit="",
            aggregation=aggregation,
            event_type="ai.completion",
            value_property=value_property,
            group_by=group_by,
            event_from=None,
            version=1,
            created_at=_FIRST,
            updated_at=_FIRST,
        )
        await catalog.metrics.create(metric)


async def counted(catalog: Catalog, clickhouse: ClickHousePool) -> int:
    """What usage says of the metric that counts events."""
    serving = await catalog.metrics.get(_MERCHANT, "bm_requests")
    question = UsageQuestion(definition=serving.shown.definition, period=Window(_FIRST, _FIRST + HOUR))
    return (await ClickHouseUsage(clickhouse).usage(question)).total.count
