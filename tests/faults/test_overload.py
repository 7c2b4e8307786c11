"""Ingest over a Kafka that hangs: refusals instead of memory, and no event of a request refused for overload.

What is promised (meterhouse.ports.log.LogWriter): a 202 is durable; a request refused as `overloaded` leaves
nothing behind; of one that was refused as `unavailable` some or all may be written, now or later.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import anyio
import httpx
import msgspec
import pytest

from deploy.local.units import Unit
from meterhouse.adapters.cloudevents_json import decode_columns
from tests.faults.own_services import OwnServices, eventually
from tests.running import PATIENCE
from tests.servers.distributed import Distributed

pytestmark = [pytest.mark.anyio, pytest.mark.faults]

_MIB: Final = 1 << 20
_EVENTS: Final = 100  # of a request
_PADDING: Final = "x" * 2500
_CONNECTIONS: Final = 80
_OFFERED: Final = 300 * _MIB  # while Kafka hangs
_GROWTH: Final = 150 * _MIB  # of ingest's memory at most
_LIMITS: Final = {
    "METERHOUSE_KAFKA_MAX_WAITING_BYTES": str(4 * _MIB),
    "METERHOUSE_INGEST_MAX_WAITING_BYTES": str(16 * _MIB),
    "METERHOUSE_INGEST_MAX_WAITING_REQUESTS": str(_CONNECTIONS // 2),
}
_encode: Final = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Sender:
    """Sends batches of new events, each once; the ids by what became of their request."""

    client: httpx.AsyncClient
    outcomes: dict[str, set[str]] = field(
        default_factory=lambda: {"accepted": set(), "overloaded": set(), "unavailable": set()}
    )
    offered: int = 0
    _numbers: count[int] = field(default_factory=count)

    async def send(self) -> str:
        """Send one batch; what became of it."""
        number = next(self._numbers)
        ids = [f"{number}-{part}" for part in range(_EVENTS)]
        body = _encode([_event(id) for id in ids])
        self.offered += len(body)
        headers = {"content-type": "application/cloudevents-batch+json"}
        response = await self.client.post("/api/v1/events", content=body, headers=headers)
        outcome = "accepted"
        if response.status_code != 202:
            assert response.status_code == 503, response.text
            assert response.headers["retry-after"] == "1"
            outcome = response.json()["error"]
        self.outcomes[outcome].update(ids)
        return outcome

    async def flood(self) -> None:
        """Send over every connection until enough is offered."""

        async def go_on() -> None:
            while self.offered < _OFFERED:
                await self.send()

        async with anyio.create_task_group() as tasks:
            for _ in range(_CONNECTIONS):
                tasks.start_soon(go_on)


def _event(id: str) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": id,
        "source": "/overload",
        "type": "fault.overload",
        "subject": "cus_1",
        "data": {"padding": _PADDING},
    }


def most_memory(unit: Unit) -> int:
    """The most bytes that the process ever had in memory."""
    status = Path(f"/proc/{unit.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


async def ids_on_the_topic(services: OwnServices) -> Sequence[str]:
    found: list[str] = []
    async with services.log() as log:
        for partition in await log.partitions():
            offset, end = 0, (await log.bounds(partition)).end
            while offset < end:
                records = await log.read(partition, offset, 10_000)
                found += decode_columns(partition, records)[0].ids
                offset = records[-1].offset + 1
    return found


async def test_a_request_refused_for_overload_leaves_nothing_behind(
    services: OwnServices, distributed: Distributed
) -> None:
    ingest = await services.start("ingest", **_LIMITS)
    headers = {"authorization": f"Bearer {services.key}"}
    limits = httpx.Limits(max_connections=_CONNECTIONS)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{ingest.port}", headers=headers, timeout=PATIENCE, limits=limits
    ) as client:
        sender = Sender(client)

        async def is_accepted() -> bool:
            return await sender.send() == "accepted"

        await eventually(is_accepted, "a batch is accepted")
        before = most_memory(ingest)
        distributed.pause("kafka-1")
        try:
            await sender.flood()
        finally:
            distributed.resume("kafka-1")
        assert most_memory(ingest) - before < _GROWTH
        await eventually(is_accepted, "a batch is accepted again")
    assert all(sender.outcomes.values()), "there was no request of each kind"
    print({outcome: len(ids) for outcome, ids in sender.outcomes.items()}, most_memory(ingest) - before)

    await anyio.to_thread.run_sync(
        ingest.end, signal.SIGTERM
    )  # whatever is on its way is written or given up
    ids = await ids_on_the_topic(services)
    written = set(ids)
    assert len(ids) == len(written), "an event was written twice"
    assert not written & sender.outcomes["overloaded"]
    assert sender.outcomes["accepted"] <= written
    assert written <= sender.outcomes["accepted"] | sender.outcomes["unavailable"]

    await services.start("aggregator")

    async def are_stored() -> bool:
        return set((await services.stored()).values()) == written

    await eventually(are_stored, "all that is on the topic is counted")
