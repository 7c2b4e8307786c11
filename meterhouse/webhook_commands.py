"""`meterhouse webhooks`: deliveries that were given up, of every merchant or of one."""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Console
from rich.table import Table

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clock import SystemClock
from meterhouse.domain.errors import NotFound
from meterhouse.domain.instant import render


async def show_dead(catalog: Catalog, console: Console, merchant: str | None, limit: int) -> None:
    """Print the newest of them, newest first."""
    dead = await catalog.deliveries.dead(merchant, limit)
    if not dead:
        console.print("No delivery is given up.")
        return
    if not console.is_terminal:
        console.width = 240  # piped, every id is whole and on one line
    table = Table(title="Deliveries that were given up")
    table.add_column("delivery", min_width=28, no_wrap=True)  # it is what `replay` wants, so never cut it
    for column in ("merchant", "endpoint", "type", "attempts", "last attempt", "why"):
        table.add_column(column)
    for one in dead:
        why = one.last_error or f"answered {one.last_status}"
        last = "" if one.last_attempt_at is None else render(one.last_attempt_at)
        row = (one.id, one.notice.merchant_id, one.endpoint_id, one.notice.type, str(one.attempts), last, why)
        table.add_row(*row)
    console.print(table)


async def replay(catalog: Catalog, ids: Collection[str] | None, merchant: str | None) -> int:
    """Let them be delivered again, all of them where no ids are named; how many.

    Raises NotFound where one of those named is not dead; the others are replayed.
    """
    revived = await catalog.deliveries.revive(ids, merchant, SystemClock().now())
    if ids is not None and revived < len(ids):
        raise NotFound(
            f"{len(ids) - revived} of those {len(ids)} are no dead deliveries; see `webhooks dead`"
        )
    return revived
