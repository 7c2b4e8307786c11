"""The usage that an event is part of: what its subject and dimensions come to in its hour."""

from __future__ import annotations

from collections.abc import Sequence

from meterhouse.domain.condition import SUBJECT, OneOf
from meterhouse.domain.event import Event
from meterhouse.domain.instant import render
from meterhouse.domain.matching import plain
from meterhouse.domain.usage import UsageQuestion
from meterhouse.domain.window import WindowSize
from meterhouse.ports import Serving, UsageReader


async def usage_around(
    reader: UsageReader, serving: Serving, event: Event, dimensions: Sequence[str]
) -> dict[str, object]:
    """The hour (UTC) of an event that the metric counted, under its subject and `dimensions`."""
    definition = serving.shown.definition
    hour = WindowSize.HOUR.window_of(event.time)
    names = (SUBJECT, *definition.dimension_names)
    group = OneOf(names, frozenset({(event.subject, *dimensions)}))
    usage = await reader.usage(UsageQuestion(definition=definition, period=hour, condition=group))
    return {
        "billableMetricId": definition.billable_metric_id,
        "windowStart": render(hour.start),
        "windowEnd": render(hour.end),
        "value": plain(usage.total.value(definition.aggregation)),
        "eventCount": usage.total.count,
    }
