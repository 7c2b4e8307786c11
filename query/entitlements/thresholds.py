"""Thresholds of balances, as metadata name them (docs/webhooks.md)."""

from __future__ import annotations

from collections.abc import Mapping

from meterhouse.domain.errors import Invalid
from meterhouse.domain.threshold import METADATA, parse_thresholds


def require_thresholds(metadata: Mapping[str, str]) -> None:
    """Raises Invalid where the metadata name thresholds that nobody could tell of."""
    try:
        parse_thresholds(metadata.get(METADATA, ""))
    except ValueError as error:
        raise Invalid.field(f"metadata.{METADATA}", str(error)) from error
