"""The usage that an event is part of: what its subject and dimensions come to in its hour."""

from __future__ import annotations

from collections.abc import Sequence

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.condition import SUBJECT, OneOf
from meterhouse.domain.instant import Instant, render
from meterhouse.domain.matching import plain
from meterhouse.domain.usage import UsageQuestion
from meterhouse.domain.window import WindowSize
from meterhouse.ports.usage import UsageReader


async def usage_around(
    reader: UsageReader, definition: Definition, subject: str, time: Instant, dimensions: Sequence[str]
) -> dict[str, object]:
    """The hour (UTC) around `time`, under that subject and `dimensions`."""
    hour = WindowSize.HOUR.window_of(time)
    names = (SUBJECT, *definition.dimension_names)
    group = OneOf(names, frozenset({(subject, *dimensions)}))
    usage = await reader.usage(UsageQuestion(definition=definition, period=hour, condition=group))
    return {
        "billableMetricId": definition.billable_metric_id,
        "windowStart": render(hour.start),
        "windowEnd": render(hour.end),
        "value": plain(usage.total.value(definition.aggregation)),
        "eventCount": usage.total.count,
    }
