"""How what a subscription is entitled to follows what it is offered, over time (contract 3.10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meterhouse.domain.entitlement import Entitlement
from meterhouse.domain.price_interval import ending
from meterhouse.domain.provision import Offered


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Of one feature: which entitlements stay, and until when each is offered; what begins, and what goes."""

    kept: tuple[tuple[Entitlement, Offered], ...] = ()
    begun: tuple[Offered, ...] = ()
    gone: tuple[Entitlement, ...] = ()


def follow(offered: Sequence[Offered], held: Sequence[Entitlement]) -> Following:
    """Each offer goes on with the first entitlement that has begun by its start and not ended before it.

    Neither overlaps another of its kind; both are by their start.
    """
    left = list(held)
    kept: list[tuple[Entitlement, Offered]] = []
    begun: list[Offered] = []
    for one in offered:
        fits = next((each for each in left if each.active_from <= one.start < ending(each.ends_at)), None)
        if fits is None:
            begun.append(one)
        else:
            left.remove(fits)
            kept.append((fits, one))
    return Following(kept=tuple(kept), begun=tuple(begun), gone=tuple(left))
