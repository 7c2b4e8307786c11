"""Clients that insist, and the ledger at the end: every acknowledged event counted once and exactly."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from random import Random
from threading import Event
from typing import Any, Final

import httpx

from meterhouse.adapters.kafka.partitioning import partitions_of
from tests import oracle
from tests.api import Api
from tests.oracle import Metric
from tests.servers.distributed import PARTITIONS

CLIENTS: Final = 6
_FIRST: Final = datetime(2026, 4, 30, 22, tzinfo=UTC)
_DIMENSIONS: Final = {"model": ["model"]}
_VALUED: Final = ("SUM", "AVG", "MIN", "MAX", "LATEST", "UNIQUE_COUNT")


def metrics_of(kind: str) -> dict[str, Metric]:
    """By their names here, the metrics of events of that type."""
    valued = {
        name: Metric(aggregation=name, event_type=kind, value=["v"], dimensions=_DIMENSIONS)
        for name in _VALUED
    }
    return valued | {"COUNT": Metric(aggregation="COUNT", event_type=kind, dimensions={"key": ["key"]})}


def late_of(kind: str) -> Metric:
    """A metric to create half-way, so that a backfill meets the faults too."""
    return Metric(aggregation="SUM", event_type=kind, value=["w"], dimensions=_DIMENSIONS)


@dataclass
class Poster:
    """One client: what it sent and was told is safe, in order. It gives up nothing."""

    number: int
    url: str
    over: Event
    kind: str
    key: str = "mh_dev"
    pause: float = 0.05  # seconds between two requests, at most
    partition: int | None = None  # the only one of the log, of PARTITIONS, that it posts to
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    retries: int = 0
    positions: dict[str, int] = field(default_factory=dict)

    def run(self) -> None:
        random = Random(self.number)
        with Api(self.url, self.key) as api:
            for events in self._requests(random):
                self._insist(api, events)
                self.acknowledged += events
                self.positions = api.positions
                if self.over.wait(random.uniform(0, self.pause)):
                    return

    def _insist(self, api: Api, events: list[dict[str, Any]]) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                response = api.post_batch(events) if len(events) > 1 else api.post_single(_single(events[0]))
            except httpx.TransportError:
                response = None
            if response is not None and response.status_code == 202:
                return
            assert response is None or response.status_code in (503, 504), response.text
            self.retries += 1
            self.over.wait(0.05)
        raise AssertionError("the server did not come back")

    def _requests(self, random: Random) -> Iterator[list[dict[str, Any]]]:
        """Singles and batches; some ids again, as they were or with another payload."""
        sent: list[dict[str, Any]] = []
        while True:
            size = random.choice((1, 1, 1, 2, 10, 40))
            events = []
            for _ in range(size):
                chance = random.random()
                if sent and chance < 0.1:
                    events.append(random.choice(sent))
                elif sent and chance < 0.15:
                    other = random.choice(sent)
                    events.append(other | {"data": other["data"] | {"v": 10**6}})
                else:
                    events.append(self._event(random, len(sent)))
                    sent.append(events[-1])
            yield events

    def _id(self, number: int) -> str:
        name = f"{self.number}-{number}"
        if self.partition is None:
            return name
        salted = (f"{name}-{salt}" for salt in count())
        return next(id for id in salted if self._partition_of(id) == self.partition)

    def _partition_of(self, id: str) -> int:
        [partition] = partitions_of([f"org_dev\0/{self.kind}\0{id}".encode()], PARTITIONS)
        return partition

    def _event(self, random: Random, number: int) -> dict[str, Any]:
        # No two events share an instant: LATEST would otherwise hang on which client was faster.
        apart = random.randrange(5 * 3600) * 1_000_000 + number * CLIENTS + self.number
        moment = _FIRST + timedelta(microseconds=apart)
        value: object = random.choice(
            (random.randrange(1000), Decimal(random.randrange(10**6)) / 1000, "2.5", "no")
        )
        return {
            "specversion": "1.0",
            "id": self._id(number),
            "source": f"/{self.kind}",
            "type": self.kind,
            "subject": f"cus_{random.randrange(5)}",
            "time": moment.isoformat().replace("+00:00", "Z"),
            "data": {
                "key": f"{self.number}-{number}",
                "v": value,
                "w": number,
                "model": random.choice("abc"),
            },
        }


def _single(event: dict[str, Any]) -> dict[str, Any]:
    shared = {name: event[name] for name in ("type", "source", "subject", "data")}
    return shared | {"idempotencyKey": event["id"], "timestamp": event["time"]}


def create(api: Api, metric: Metric) -> str:
    fields: dict[str, object] = {
        "groupBy": {name: f"$.{path[0]}" for name, path in metric.dimensions.items()}
    }
    if metric.value is not None:
        fields["valueProperty"] = f"$.{metric.value[0]}"
    return str(api.create_metric(metric.event_type, metric.aggregation, **fields)["id"])


def assert_exact(api: Api, ids: Mapping[str, str], late: Sequence[str], posters: Sequence[Poster]) -> None:
    """Every acknowledged event is counted once, and every usage is that of a recomputation.

    `ids` are those of `metrics_of` by their names, `late` those of metrics made half-way.
    """
    for metric_id in (ids["SUM"], *late):
        wait_until_counted(api, metric_id, posters)

    # Each client has ids of its own, so the clients' order among themselves does not matter.
    events = [event for poster in posters for event in poster.acknowledged]
    keys = {event["data"]["key"] for event in events}
    assert _counts_by_key(api, ids["COUNT"]) == dict.fromkeys(keys, 1)

    kind = posters[0].kind
    for name, metric in metrics_of(kind).items():
        _assert_usage(api, [ids[name]], metric, events)
    _assert_usage(api, late, late_of(kind), events)


def _assert_usage(
    api: Api, metric_ids: Sequence[str], metric: Metric, events: Sequence[dict[str, Any]]
) -> None:
    """Each of these metrics, which are defined alike, has the usage of a recomputation."""
    counted = oracle.rows(events, metric)
    group_by = () if metric.aggregation == "COUNT" else ("subject", "model")
    for size in (None, "MINUTE", "HOUR", "MONTH"):
        asked = {"groupBy": ",".join(group_by)} if group_by else {}
        asked |= {"windowSize": size} if size else {}
        total, cells = oracle.answer(
            counted,
            aggregation=metric.aggregation,
            start=_FIRST,
            end=_FIRST + timedelta(days=1),
            size=size,
            group_by=group_by,
        )
        for metric_id in metric_ids:
            answer = api.meter(metric_id, **asked)
            assert oracle.exact(answer["totalValue"]) == total, (metric, size)
            shown = _cells(answer, group_by)
            assert shown == {cell: value for cell, (value, _) in cells.items()}, (metric, size)


def _cells(answer: dict[str, Any], group_by: tuple[str, ...]) -> dict[oracle.Cell, object]:
    windows = answer.get("windowedValues")
    groups = answer.get("groupedValues")
    length = len(windows or groups or [])
    found: dict[oracle.Cell, object] = {}
    for i in range(length):
        start = oracle.rendered(oracle.at(windows[i]["windowStart"])) if windows else ""
        group = tuple(groups[i]["groupBy"][name] for name in group_by) if groups else ()
        found[start, group] = oracle.exact((windows or groups or [])[i]["value"])
    return found


def wait_until_counted(api: Api, metric_id: str, posters: Sequence[Poster]) -> None:
    """Return once all that these were told is safe is counted; `api` asks for no less from now on.

    A replay may have to sit out an INSERT of the killed process, longer than one question waits.
    """
    for poster in posters:
        for partition, offset in dict(poster.positions).items():
            api.positions[partition] = max(offset, api.positions.get(partition, 0))
    deadline = time.monotonic() + 240
    status = 504
    while status == 504:
        assert time.monotonic() < deadline, "the log is not counted to its end"
        response = api.client.get(
            f"/v0/billableMetrics/{metric_id}/meter",
            params={"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "after": api.position},
        )
        status = response.status_code
    assert status == 200, response.text


def _counts_by_key(api: Api, metric_id: str) -> dict[str, int]:
    """How often each id was counted."""
    groups = api.meter(metric_id, groupBy="key")["groupedValues"]
    return {one["groupBy"]["key"]: one["value"] for one in groups}
