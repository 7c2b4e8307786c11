"""Reconciliations: a subscription's entitlements made those that its plan offers now (contract 3.10)."""

from __future__ import annotations

from dataclasses import dataclass

from meterhouse.domain.feature import Feature
from meterhouse.domain.provision import Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What was done for each feature, or would be.

    `added` are entitled to now, `skipped` were already, `removed` are offered no more, and `failed` cannot be
    provisioned as the plan offers them.
    """

    added: tuple[Offer, ...] = ()
    skipped: tuple[Feature, ...] = ()
    removed: tuple[Feature, ...] = ()
    failed: tuple[Feature, ...] = ()
