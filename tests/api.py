"""What tests say to a running server, in as few words as a caller would use."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import count
from types import TracebackType
from typing import Any, Final, Self
from zlib import crc32

import httpx
import msgspec

from deploy.local.machine import NO_CERTIFICATES
from tests.running import Server

Json = dict[str, Any]

_BATCH: Final = "application/cloudevents-batch+json"
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_numbers: Final = count(1)


def decode(content: bytes) -> Any:
    """JSON whose fractions are exact Decimals."""
    return json.loads(content, parse_float=Decimal)


class Api:
    """A merchant's calls to one server. `position` grows with every event it posts."""

    def __init__(self, url: str, key: str = "mh_dev") -> None:
        headers = {"authorization": f"Bearer {key}"}
        self.client = httpx.Client(base_url=url, headers=headers, timeout=30, verify=NO_CERTIFICATES)
        self.positions: dict[str, int] = {}

    @classmethod
    def of(cls, server: Server) -> Self:
        return cls(server.url, server.key)

    @property
    def position(self) -> str:
        """Everything posted here, as `after=` takes it."""
        return ",".join(f"{partition}:{offset}" for partition, offset in sorted(self.positions.items()))

    def post_batch(self, events: Sequence[Mapping[str, object]]) -> httpx.Response:
        """POST CloudEvents to /api/v1/events, whatever the answer."""
        return self._posted("/api/v1/events", events, _BATCH)

    def post_single(self, body: Mapping[str, object]) -> httpx.Response:
        """POST one event to /v0/events, whatever the answer."""
        return self._posted("/v0/events", body, "application/json")

    def ingest(self, *events: Mapping[str, object]) -> None:
        """POST CloudEvents as one batch, which must be accepted."""
        response = self.post_batch(events)
        assert response.status_code == 202, response.text

    def _posted(self, path: str, body: object, content_type: str) -> httpx.Response:
        response = self.client.post(path, content=_encode(body), headers={"content-type": content_type})
        if response.status_code == 202:
            for part in response.headers["meterhouse-position"].split(","):
                partition, _, offset = part.strip().partition(":")
                self.positions[partition] = max(int(offset), self.positions.get(partition, 0))
        return response

    def create_metric(self, event_type: str, aggregation: str, **fields: object) -> Json:
        """A billable metric of the merchant `org_dev`, or the one that `fields` names."""
        body = {
            "name": f"metric {next(_numbers)}",
            "description": "made by a test",
            "unit": "things",
            "merchantId": "org_dev",
            "productId": "prod_dev",
            "aggregation": aggregation,
            "eventType": event_type,
        }
        response = self.client.post("/v0/billableMetrics", json=body | fields)
        assert response.status_code == 201, response.text
        created: Json = decode(response.content)
        return created

    def create_cost(self, event_type: str, aggregation: str, unit_cost: Decimal, **fields: object) -> Json:
        """A cost in dollars of the merchant `org_dev`."""
        body = {
            "type": "metered",
            "name": f"cost {next(_numbers)}",
            "unitCost": unit_cost,
            "currency": "USD",
            "productId": "prod_dev",
            "aggregation": aggregation,
            "eventType": event_type,
        }
        headers = {"content-type": "application/json"}
        response = self.client.post("/v0/costs", content=_encode(body | fields), headers=headers)
        assert response.status_code == 201, response.text
        created: Json = decode(response.content)
        return created

    def get(self, path: str, **params: str | Sequence[str]) -> Json:
        """GET `path`, which must answer 200, after everything posted here is counted."""
        response = self.client.get(path, params={**self._after(), **params})
        assert response.status_code == 200, f"{response.request.url}: {response.status_code} {response.text}"
        answer: Json = decode(response.content)
        return answer

    def meter(self, metric_id: str, **params: str) -> Json:
        """Usage over all time, unless `params` says otherwise (`start` and `end` stand for from and to)."""
        period = {"from": params.pop("start", "1970-01-01T00:00:00Z")}
        period["to"] = params.pop("end", "2199-12-31T00:00:00Z")
        return self.get(f"/v0/billableMetrics/{metric_id}/meter", **period, **params)

    def total(self, metric_id: str, **params: str) -> Decimal:
        return Decimal(self.meter(metric_id, **params)["totalValue"])

    def record(self, event_id: str, **params: str) -> Json:
        """What became of an event."""
        return self.get(f"/api/v1/events/{event_id}", **params)

    def _after(self) -> dict[str, str]:
        return {"after": self.position} if self.positions else {}

    def close(self) -> None:
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def cloud_event(event_type: str, id: str, data: object = None, **attributes: object) -> Json:
    """A CloudEvent with what tests seldom care about filled in; ids are of the test that sends it."""
    event: Json = {
        "specversion": "1.0",
        "id": id,
        "source": _source(),
        "type": event_type,
        "subject": "cus_a",
        "time": "2026-05-01T12:00:00Z",
    }
    return event | ({} if data is None else {"data": data}) | attributes


def _source() -> str:
    """The running test's own, so that what shares its server may use the same ids."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]  # without "(setup)" or "(call)"
    return f"/test/{crc32(test.encode()):08x}"
