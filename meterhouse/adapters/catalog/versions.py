"""Metric versions: what a catalog version consists of, and how a building version becomes the active one.

Everything here runs inside a transaction of the caller's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, exists, func, insert, or_, select, update
from sqlalchemy.orm import Session

from meterhouse.adapters.catalog.counters import begin_catalog_version, hold_catalog
from meterhouse.adapters.catalog.models import BackfillRow, MetricRow, VersionRow
from meterhouse.adapters.catalog.tombstones import NONE_KNOWN, KnownTombstones
from meterhouse.domain.billable_metric import (
    Aggregation,
    Definition,
    MetricVersion,
    VersionState,
    parse_path,
)

VersionKey = tuple[str, int]


def definition_of(metric: MetricRow, version: VersionRow, known: KnownTombstones = NONE_KNOWN) -> Definition:
    """The version as it is; whoever counts by it says which tombstones are `known`."""
    group_by = version.group_by or {}
    return Definition(
        billable_metric_id=metric.id,
        version=version.version,
        namespace=metric.merchant_id,
        aggregation=Aggregation(version.aggregation),
        event_type=version.event_type,
        value_path=None if version.value_property is None else parse_path(version.value_property),
        dimensions=tuple([(name, parse_path(path)) for name, path in sorted(group_by.items())]),
        event_from=version.event_from,
        tombstones=known.of(metric.merchant_id, version.appeared_in),
    )


def metric_version(metric: MetricRow, version: VersionRow) -> MetricVersion:
    return MetricVersion(definition=definition_of(metric, version), state=VersionState(version.state))


def definitions_of(session: Session, catalog_version: int, known: KnownTombstones) -> Sequence[Definition]:
    """Every metric version of that catalog version, by metric and version."""
    statement = (
        select(MetricRow, VersionRow)
        .join(VersionRow, VersionRow.billable_metric_id == MetricRow.id)
        .where(_part_of(catalog_version))
        .order_by(VersionRow.billable_metric_id, VersionRow.version)
    )
    return [definition_of(metric, version, known) for metric, version in session.execute(statement)]


def _part_of(catalog_version: int) -> ColumnElement[bool]:
    not_retired = or_(VersionRow.retired_in.is_(None), VersionRow.retired_in > catalog_version)
    return (VersionRow.appeared_in <= catalog_version) & not_retired


def meet(
    session: Session, log_id: str, partition: int, *, next_offset: int, catalog_version: int
) -> Sequence[VersionKey]:
    """Give every metric version of the catalog version that the partition has not met its backfill row.

    Live batches from `next_offset` on are folded with it, so what it lacks is what comes before. Returns
    the versions that lack nothing: there is nothing before, or it counts no type of event.
    """
    met = exists().where(
        BackfillRow.billable_metric_id == VersionRow.billable_metric_id,
        BackfillRow.version == VersionRow.version,
        BackfillRow.log_id == log_id,
        BackfillRow.partition == partition,
    )
    unmet = select(VersionRow.billable_metric_id, VersionRow.version, VersionRow.event_type).where(
        _part_of(catalog_version), ~met
    )
    complete = []
    rows = []
    for metric, version, event_type in session.execute(unmet):
        done = next_offset == 0 or event_type is None
        rows.append(
            {
                "billable_metric_id": metric,
                "version": version,
                "log_id": log_id,
                "partition": partition,
                "until_offset": next_offset,
                "next_offset": next_offset if done else 0,
                "done": done,
            }
        )
        if done:
            complete.append((metric, version))
    if rows:
        session.execute(insert(BackfillRow), rows)
    return complete


def activate_complete(
    session: Session, log_id: str, partitions: Collection[int], versions: Sequence[VersionKey]
) -> None:
    """Show readers those of `versions` that are complete on every partition, in place of older ones."""
    if not versions:
        return
    # Two partitions may finish at once: the lock makes the second see what the first did.
    hold_catalog(session)
    for metric, version in versions:
        if _building(session, metric, version) and _complete(session, log_id, partitions, metric, version):
            retire(session, metric, VersionState.ACTIVE)
            _set_state(session, metric, version, VersionState.ACTIVE)


def next_version(session: Session, metric: str) -> int:
    """The number of a metric's next version; one that was cancelled keeps its own."""
    newest = select(func.max(VersionRow.version)).where(VersionRow.billable_metric_id == metric)
    return session.scalars(newest).one() + 1


def supersede(session: Session, metric: MetricRow, changed: VersionRow, catalog_version: int) -> None:
    """Build `changed`, which appears in that catalog version, from now on in place of the metric's newest."""
    retire(session, metric.id, VersionState.BUILDING, catalog_version=catalog_version)
    changed.appeared_in = catalog_version
    metric.version = changed.version
    session.add(changed)


def retire(session: Session, metric: str, state: VersionState, *, catalog_version: int | None = None) -> None:
    """Retire the metric's version in `state`, if there is one, in `catalog_version` or else a new one."""
    found = select(VersionRow.version).where(
        VersionRow.billable_metric_id == metric, VersionRow.state == state.value
    )
    for version in session.scalars(found).all():
        retired_in = begin_catalog_version(session) if catalog_version is None else catalog_version
        _set_state(session, metric, version, VersionState.RETIRED, retired_in)


def _set_state(
    session: Session, metric: str, version: int, state: VersionState, retired_in: int | None = None
) -> None:
    session.execute(
        update(VersionRow)
        .where(VersionRow.billable_metric_id == metric, VersionRow.version == version)
        .values(state=state.value, retired_in=retired_in)
    )


def _building(session: Session, metric: str, version: int) -> bool:
    state = select(VersionRow.state).where(
        VersionRow.billable_metric_id == metric, VersionRow.version == version
    )
    return session.scalars(state).one() == VersionState.BUILDING


def _complete(session: Session, log_id: str, partitions: Collection[int], metric: str, version: int) -> bool:
    done = select(BackfillRow.partition).where(
        BackfillRow.billable_metric_id == metric,
        BackfillRow.version == version,
        BackfillRow.log_id == log_id,
        BackfillRow.done.is_(True),
    )
    return set(partitions) <= set(session.scalars(done))
