"""The ingest application over a log in memory, for the tests that ask it questions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec

from ingest.app import Application, create_app
from ingest.limits import Limits
from meterhouse.domain import instant as instants
from meterhouse.domain.errors import MeterhouseError
from meterhouse.domain.instant import Instant
from meterhouse.domain.position import Position
from meterhouse.ports.log import Entry

KEY = "mh_test"
MERCHANT = "org_1"
NOW = instants.from_datetime(datetime(2026, 5, 1, 12, tzinfo=UTC))

AUTHORIZED = {"authorization": f"Bearer {KEY}"}
STRUCTURED = {**AUTHORIZED, "content-type": "application/cloudevents+json"}
BATCHED = {**AUTHORIZED, "content-type": "application/cloudevents-batch+json"}
JSON = {**AUTHORIZED, "content-type": "application/json"}


@dataclass
class MemoryLog:
    """A log that keeps what it is given, until it is told to fail."""

    entries: list[Entry] = field(default_factory=list)
    failure: Exception | None = None

    async def append(self, entries: Sequence[Entry]) -> tuple[Position, ...]:
        if self.failure is not None:
            raise self.failure
        self.entries += entries
        return (Position(0, len(self.entries)),)

    def documents(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(entry.value) for entry in self.entries]


@dataclass
class OneKey:
    """A ring with one key on it, until it is told to fail."""

    failure: MeterhouseError | None = None

    async def merchant_of(self, key: str) -> str | None:
        if self.failure is not None:
            raise self.failure
        return MERCHANT if key == KEY else None


@dataclass
class StoppedClock:
    """A clock that stands where it is put."""

    instant: Instant = NOW

    def now(self) -> Instant:
        return self.instant


@dataclass
class Service:
    """The application with everything behind it in reach."""

    app: Application
    log: MemoryLog
    keys: OneKey
    clock: StoppedClock
    client: httpx.AsyncClient

    async def post_event(self, body: object, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.client.post("/v0/events", content=content, headers={**JSON, **headers})

    async def post(self, headers: dict[str, str], body: object) -> httpx.Response:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.client.post("/api/v1/events", content=content, headers=headers)


@asynccontextmanager
async def ingest_service(limits: Limits | None = None) -> AsyncIterator[Service]:
    log, keys, clock = MemoryLog(), OneKey(), StoppedClock()
    app = create_app(log, keys, clock, limits or Limits())
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        yield Service(app, log, keys, clock, client)


def cloud_event(**changes: object) -> dict[str, object]:
    """A right CloudEvent; a change to None leaves that attribute out."""
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": "e1",
        "source": "svc",
        "type": "ai.inference",
        "subject": "cus_1",
        "data": {"tokens": 1},
        **changes,
    }
    return {name: value for name, value in event.items() if value is not None}


def event_request(**changes: object) -> dict[str, object]:
    """A right body of POST /v0/events; a change to None leaves that field out."""
    request: dict[str, object] = {
        "type": "ai.inference",
        "source": "svc",
        "subject": "cus_1",
        "data": {"tokens": 1},
        **changes,
    }
    return {name: value for name, value in request.items() if value is not None}
