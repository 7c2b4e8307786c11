"""Metered events as tests make them up, and how they get into the tables without an aggregator."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.event import value_hash
from meterhouse.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse, to_datetime

T0 = parse("2026-02-27T00:00:00Z")  # two days before a month ends
ODD = 'o\'dd \\ "näme"\t{x:String}'
MODELS = ("gpt", "claude", ODD, "")
SUBJECTS = ("cus_1", "cus_2", ODD, "")
EXTERNALS = ("acme", ODD, "nobody")
LINKS = {"acme": "cus_1", ODD: "cus_9", "elsewhere": "cus_2"}


@dataclass(frozen=True, slots=True)
class Metered:
    """A metered event as the test made it up."""

    subject: str
    time: Instant
    received_at: Instant
    offset: int
    model: str
    region: str
    value: Decimal
    unique: int

    @property
    def external(self) -> str:
        """With a subject beside it, it stands for nobody else."""
        return "acme" if self.subject else EXTERNALS[self.offset % len(EXTERNALS)]

    def group(self, name: str, links: Mapping[str, str]) -> str:
        subject = self.subject or links.get(self.external, "")
        return {"subject": subject, "model": self.model, "region": self.region}.get(name, "")


def metered_events(seed: int, size: int = 400) -> list[Metered]:
    """Events over five days, many of them on window borders or within one minute."""
    dice = random.Random(seed)
    borders = [0, 1, -1, MINUTE, MINUTE - 1, HOUR, HOUR - 1, DAY, DAY - 1, 59 * SECOND]
    events = []
    for offset in range(size):
        spread = dice.randrange(5 * DAY) if dice.random() < 0.5 else dice.randrange(3 * HOUR)
        border = dice.randrange(120) * HOUR + dice.choice(borders)
        time = T0 + (spread if dice.random() < 0.7 else max(border, 0))
        value = Decimal(dice.randrange(-(10**6), 10**6)).scaleb(dice.choice([0, -2, -18, 10]))
        unique = value_hash(str(dice.randrange(40)))
        subject, model = dice.choice(SUBJECTS), dice.choice(MODELS)
        events.append(
            Metered(subject, time, T0 + offset % 7, offset, model, dice.choice("ab"), value, unique)
        )
    return events


def definition(aggregation: Aggregation, namespace: str = "org_1") -> Definition:
    dimensions = (("model", ("model",)), ("region", ("region",)))
    return Definition(
        billable_metric_id=f"bm_{aggregation.lower()}",
        version=3,
        namespace=namespace,
        aggregation=aggregation,
        event_type="call",
        value_path=("tokens",),
        dimensions=dimensions,
    )


METERED_COLUMNS = [
    "namespace", "billable_metric_id", "version", "subject", "external_subject", "time", "received_at",
    "log_partition", "log_offset", "dimensions", "value", "unique_hash",
]  # fmt: skip

# Written out here a second time on purpose: the reader is tested against the table's meaning.
ROLL_UP = """
INSERT INTO rollups SELECT
    namespace, billable_metric_id, version, '{size}', {whose}, {external},
    {start}(time) AS w, dimensions,
    count(), sum(toDecimal256(value, 18)), min(value), max(value),
    max(tuple(time, received_at, log_partition, log_offset, assumeNotNull(value))),
    groupUniqArray(unique_hash), 0
FROM metered_events GROUP BY namespace, billable_metric_id, version, {whose}, {external}, w, dimensions
"""


async def store(pool: ClickHousePool, counted: Iterable[tuple[Definition, Sequence[Metered]]]) -> None:
    rows = [
        [
            one.namespace, one.billable_metric_id, one.version, event.subject, event.external,
            to_datetime(event.time), to_datetime(event.received_at), 0, event.offset,
            {"model": event.model, "region": event.region}, event.value, event.unique,
        ]
        for one, events in counted
        for event in events
    ]  # fmt: skip

    def insert(client: Client) -> None:
        client.insert("metered_events", rows, METERED_COLUMNS)
        for size in ("Minute", "Hour", "Day"):
            by_subject = {"whose": "subject", "external": "external_subject"}
            client.command(ROLL_UP.format(size=size.upper(), start=f"toStartOf{size}", **by_subject))
        overall = {"whose": "''", "external": "''"}
        client.command(ROLL_UP.format(size="HOUR OVERALL", start="toStartOfHour", **overall))

    await pool.run(insert)
