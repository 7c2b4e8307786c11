"""How long until everything that was accepted is counted."""

from __future__ import annotations

import time
from typing import Final

from tests.api import Api, cloud_event

_EVENTS: Final = 200  # enough to meet every partition
_LONGEST: Final = 600.0  # seconds
_ALL_TIME: Final = {"from": "1970-01-01T00:00:00Z", "to": "2199-01-01T00:00:00Z"}


def seconds_until_counted(events: Api, usage: Api, metric: str, kind: str, prefix: str) -> float:
    """Post events of type `kind`, whose ids begin with `prefix`, and ask `metric` for usage after them."""
    began = time.perf_counter()
    events.ingest(*[cloud_event(kind, f"{prefix} {number}", {}) for number in range(_EVENTS)])
    params = {**_ALL_TIME, "after": events.position}
    while usage.client.get(f"/v0/billableMetrics/{metric}/meter", params=params).status_code != 200:
        if time.perf_counter() - began > _LONGEST:
            raise TimeoutError(f"not counted {_LONGEST:.0f} s later")
    return time.perf_counter() - began
