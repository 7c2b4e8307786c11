"""Billable metrics, usage and events as JSON.

Usage, events and event records are written by `usage_body`, `metric_events` and `event_record` in one go,
with exact numbers; there these models are the description in OpenAPI, and tests hold the answers against
them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from meterhouse.domain.billable_metric import Aggregation, BillableMetric
from meterhouse.domain.instant import render
from query.wire import Digits, Moment, Number, Pagination, Wire, moment


class BillableMetricBody(Wire):
    id: str
    object: Literal["billableMetric"] = "billableMetric"
    aggregation: Aggregation
    name: str
    description: str
    unit: str
    merchant_id: str
    product_id: str
    item_id: str | None
    event_type: str | None
    value_property: str | None
    group_by: dict[str, str] | None
    event_from: Moment | None
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, metric: BillableMetric) -> BillableMetricBody:
        return cls(
            id=metric.id,
            aggregation=metric.aggregation,
            name=metric.name,
            description=metric.description,
            unit=metric.unit,
            merchant_id=metric.merchant_id,
            product_id=metric.product_id,
            item_id=metric.item_id,
            event_type=metric.event_type,
            value_property=metric.value_property,
            group_by=metric.group_by,
            event_from=moment(metric.event_from),
            created_at=render(metric.created_at),
            updated_at=render(metric.updated_at),
        )


class WindowedValue(Wire):
    """A calendar window of UTC, reported whole; it holds only what lies inside the period asked for."""

    window_start: Moment
    window_end: Moment
    value: Number


class GroupedValue(Wire):
    group_by: dict[str, str]
    value: Number
    event_count: int


class UsageBody(Wire):
    """With windows and groups both, `windowedValues[i]` and `groupedValues[i]` are one cell."""

    object: Literal["meter"] = "meter"
    billable_metric_id: str
    total_value: Number
    windowed_values: list[WindowedValue] = Field(default=[], description="Only with `windowSize`.")
    grouped_values: list[GroupedValue] = Field(default=[], description="Only with `groupBy`.")
    group_count: int = Field(default=0, description="Groups in all; only with `groupLimit`.")


class WindowUsageBody(Wire):
    """A calendar window of the time zone, reported whole; it holds only what lies inside the period."""

    window_start: Moment
    window_end: Moment
    value: Digits
    event_count: int


class FiguresBody(Wire):
    """Usage of a part, or of the whole."""

    value: Digits
    event_count: int
    previous_value: Digits = Field(default="0", description="Of the period before; only with `compare`.")
    change: Digits = Field(default="0", description="`value` less `previousValue`; only with `compare`.")
    windows: list[WindowUsageBody] = Field(default=[], description="Only with `windowSize`.")


class GroupUsageBody(FiguresBody):
    group: dict[str, str]


class UsageAnswerBody(FiguresBody):
    """The total is over the whole period and every group, shown or not."""

    object: Literal["usage"] = "usage"
    billable_metric_id: str
    version: int
    state: Literal["building", "active"]
    aggregation: Aggregation
    unit: str
    watermark: str = Field(description="How far the log is counted in this answer.")
    from_: Moment = Field(alias="from")
    to: Moment
    time_zone: str
    previous_from: Moment = Field(default="", description="Only with `compare`.")
    previous_to: Moment = Field(default="", description="Only with `compare`.")
    groups: list[GroupUsageBody] = Field(default=[], description="Only with `groupBy`.")
    group_count: int = Field(default=0, description="Groups in all; only with `groupBy`.")
    next_cursor: str | None = Field(default=None, description="Of the next page; only with `groupBy`.")
    other: FiguresBody | None = Field(default=None, description="The rest; only with `top`.")


class UsageAnswersBody(Wire):
    object: Literal["list"] = "list"
    data: list[UsageAnswerBody]


class TextBody(Wire):
    value: str
    event_count: int


class TextListBody(Wire):
    object: Literal["list"] = "list"
    data: list[TextBody]
    next_cursor: str | None


class DimensionBody(Wire):
    key: str
    value_count: int = Field(description='"" aside.')
    event_count: int = Field(description="Events that have a value.")


class DimensionListBody(Wire):
    object: Literal["list"] = "list"
    data: list[DimensionBody]


class MeterEventBody(Wire):
    """Data that is no object is shown as {"value": …}, and binary data as {"data_base64": …}."""

    id: str
    object: Literal["meterEvent"] = "meterEvent"
    type: str
    source: str
    subject: str = Field(description="Empty while only an externalSubject is known.")
    time: Moment
    idempotency_key: str = Field(description="The same as `id`.")
    data: dict[str, Any]
    external_id: str = Field(default="", description="Only where there is one.")
    external_subject: str = Field(default="", description="Only where there is one.")


class MeterEventListBody(Wire):
    object: Literal["list"] = "list"
    billable_metric_id: str
    events: list[MeterEventBody]
    pagination: Pagination


class OutcomeBody(Wire):
    """What one billable metric, or one cost, made of the event. Values are decimal strings."""

    billable_metric_id: str
    name: str
    outcome: Literal["counted", "unusable", "beforeEventFrom"]
    value: str | None
    dimensions: dict[str, str]
    reason: str | None


class ConflictBody(Wire):
    """A repeat whose payload differs from the first event's: JSON paths say where."""

    received_at: Moment
    position: str
    differences: list[str]


class RepeatsBody(Wire):
    count: int
    conflicts: list[ConflictBody]


class UsageAroundBody(Wire):
    """What the subject and the dimensions of an event come to in its hour, all their events together."""

    billable_metric_id: str
    window_start: Moment
    window_end: Moment
    value: str
    event_count: int


class ListedEventBody(Wire):
    object: Literal["eventRecord"] = "eventRecord"
    event: dict[str, Any] = Field(description="The CloudEvent as it was accepted.")
    namespace: str
    received_at: Moment
    position: str
    disposition: Literal["counted", "unmatched", "unusable", "hidden"]
    hidden_before: Moment | None = Field(description="A reset hides what was received before then.")
    metrics: list[OutcomeBody]
    repeats: RepeatsBody


class EventRecordBody(ListedEventBody):
    usage: list[UsageAroundBody] = Field(description="Of each metric that counted it, as of now.")


class VersionBody(Wire):
    """`recordsTotal` are the log's records from before the version; `recordsCounted` of them are counted."""

    object: Literal["billableMetricVersion"] = "billableMetricVersion"
    version: int
    state: Literal["building", "active", "retired", "dropped"]
    event_type: str | None
    value_property: str | None
    group_by: dict[str, str] | None
    event_from: Moment | None
    records_counted: int
    records_total: int


class VersionListBody(Wire):
    object: Literal["list"] = "list"
    data: list[VersionBody]


class EventPageBody(Wire):
    object: Literal["list"] = "list"
    data: list[ListedEventBody]
    next_cursor: str | None


class EventCountBody(Wire):
    window_start: Moment = Field(default="", description="Only with `windowSize`.")
    window_end: Moment = Field(default="", description="Only with `windowSize`.")
    type: str
    disposition: Literal["counted", "unmatched", "unusable", "hidden", "duplicate"]
    count: int


class EventStatsBody(Wire):
    object: Literal["list"] = "list"
    data: list[EventCountBody]


class IdentityBody(Wire):
    """The first's place and time are null where it is an earlier event of the same request."""

    state: Literal["first", "duplicate", "conflict"]
    first_position: str | None = None
    first_received_at: Moment | None = None
    differences: list[str] = Field(default=[])


class TriedBody(Wire):
    object: Literal["dryRun"] = "dryRun"
    event: dict[str, Any] = Field(description="The CloudEvent as it would be accepted.")
    identity: IdentityBody
    disposition: Literal["counted", "unmatched", "unusable"] = Field(
        default="unmatched", description="Not for repeats, which count for nothing."
    )
    metrics: list[OutcomeBody] = Field(default=[])


class DryRunBody(Wire):
    object: Literal["list"] = "list"
    data: list[TriedBody]
