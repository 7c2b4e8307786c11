"""How far is a changed definition? The versions of a billable metric (docs/queries.md)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from meterhouse.ports.metrics import VersionProgress
from query.answers import failures
from query.backend import Backend, Merchant, Ports
from query.fields import checked_id
from query.metering.wire import VersionBody, VersionListBody
from query.route import new_router
from query.wire import moment

router = new_router()

Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get(
    "/api/v1/billable-metrics/{id}/versions",
    operation_id="listVersions",
    responses=failures(404),
)
async def versions(id: str, merchant: Merchant, ports: Ports) -> VersionListBody:
    """Every version of a billable metric, the newest first, and how far it is counted."""
    return await _listed(ports, merchant, checked_id(id, "bm", "billable metric"))


@router.post(
    "/api/v1/billable-metrics/{id}/versions/{version}/cancel",
    operation_id="cancelVersion",
    responses=failures(400, 404, 409),
)
async def cancel(id: str, version: Version, merchant: Merchant, ports: Ports) -> VersionListBody:
    """Give up a version that is still building. The billable metric is as its active version says again."""
    id = checked_id(id, "bm", "billable metric")
    await ports.versions.cancel(merchant, id, version)
    return await _listed(ports, merchant, id)


async def _listed(ports: Backend, merchant: str, id: str) -> VersionListBody:
    found = await ports.versions.of(merchant, id)
    return VersionListBody(data=[body_of(one) for one in reversed(found)])


def body_of(progress: VersionProgress) -> VersionBody:
    """What is shown of a version."""
    definition = progress.version.definition
    paths = {name: f"$.{'.'.join(path)}" for name, path in definition.dimensions}
    return VersionBody(
        version=definition.version,
        state=progress.version.state.value,
        event_type=definition.event_type,
        value_property=None if definition.value_path is None else f"$.{'.'.join(definition.value_path)}",
        group_by=paths or None,
        event_from=moment(definition.event_from),
        records_counted=progress.counted,
        records_total=progress.total,
    )
