"""A billable metric and its events, as tests of the published client make and await them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio

from tests.clients.conftest import Caller

FROM: Final = datetime(2026, 5, 1, tzinfo=UTC)
TO: Final = datetime(2026, 6, 1, tzinfo=UTC)


async def until(read: Callable[[], Awaitable[Any]], done: Callable[[Any], bool]) -> Any:
    """The client knows no positions, so its users poll."""
    with anyio.fail_after(60):
        while True:
            answer = await read()
            if done(answer):
                return answer
            await anyio.sleep(0.05)


async def create_metric(call: Caller, event_type: str, **fields: Any) -> Any:
    wanted = {
        "aggregation": "SUM",
        "description": "d",
        "merchant_id": "org_dev",
        "name": "Tokens",
        "unit": "tokens",
        "event_type": event_type,
        "product_id": "prod_dev",
        "value_property": "$.tokens",
        "group_by": {"model": "$.model"},
    }
    return await call("billable_metrics.create", **(wanted | fields))


def usage_event(event_type: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": event_type,
        "source": "svc",
        "subject": "cus_1",
        "data": {"tokens": 1500, "model": "gpt"},
        "timestamp": FROM + timedelta(hours=12, microseconds=123456),
    } | fields
