"""`POST /v0/subscriptions/{id}/versionMigration`: another version of its plan for one subscription (2.3)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from meterhouse.domain.version_migration import Migration, MigrationAsked, Timing
from query.answers import failures, model_answer
from query.backend import Merchant, Ports
from query.route import new_router
from query.subscriptions.subscriptions import checked_subscription
from query.subscriptions.wire import SubscriptionBody
from query.wire import Moment, Wire, moment

router = new_router()


class VersionMigrationAsked(BaseModel):
    """Without `timing` it is as the plan's `versionTransition` says."""

    model_config = ConfigDict(alias_generator=to_camel)

    target_version_number: Annotated[int, Field(strict=True, ge=1, le=2**31)]
    timing: Timing | None = None


class MigrationBody(Wire):
    """`effectiveAt` is when prices in advance are those of the version; null where nothing moved."""

    from_version_number: int
    to_version_number: int
    effective_at: Moment | None
    entitlements_effective_at: Moment | None
    changed: bool


class SyncedBody(Wire):
    """Nothing to fail, as meterhouse makes no invoices."""

    sync_failed: bool = False


class MigratedBody(Wire):
    subscription: SubscriptionBody
    migration: MigrationBody
    line_items: SyncedBody = SyncedBody()

    @classmethod
    def of(cls, done: Migration, wall: int) -> MigratedBody:
        migration = MigrationBody(
            from_version_number=done.from_number,
            to_version_number=done.to_number,
            effective_at=moment(done.effective_at),
            entitlements_effective_at=moment(done.entitlements_effective_at),
            changed=done.changed,
        )
        return cls(subscription=SubscriptionBody.of(done.subscription, wall), migration=migration)


@router.post(
    "/v0/subscriptions/{id}/versionMigration",
    operation_id="migrateSubscriptionVersion",
    responses={
        **failures(400, 404, 409, 413, 415),
        200: {"model": MigratedBody, "description": "The subscription, and what became of it."},
    },
    response_model=None,
)
async def migrate(id: str, body: VersionMigrationAsked, merchant: Merchant, ports: Ports) -> Response:
    """Move a subscription to a version of its plan and pin it there; again changes nothing."""
    id, wall = checked_subscription(id), ports.clock.now()
    catalog = ports.subscribed.version_migrations
    asked = MigrationAsked(number=body.target_version_number, timing=body.timing, at=wall)
    done = await catalog.migrate(merchant, id, asked)
    return model_answer(MigratedBody.of(done, wall))
