"""Payloads of notices, as Standard Webhooks recommends them: what it is, when it came about, and the data."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from meterhouse.domain.grant_document import document_of
from meterhouse.domain.holding import GivenGrant
from meterhouse.domain.instant import Instant, render
from meterhouse.domain.matching import plain
from meterhouse.domain.webhook import NoticeType

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def payload_of(type: NoticeType, at: Instant, data: Mapping[str, Any]) -> str:
    """The JSON text; numbers have all their digits, and no exponent."""
    return _encode({"type": type, "timestamp": render(at), "data": _plain(data)}).decode()


def grant_data(given: GivenGrant, customer_id: str, feature_id: str) -> dict[str, Any]:
    """What a notice tells of a grant, and of whose it is."""
    return {"customerId": customer_id, "featureId": feature_id, "grant": document_of(given)}


def _plain(value: object) -> object:
    match value:
        case Decimal():
            return msgspec.Raw(plain(value).encode())
        case Mapping():
            return {name: _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
    return value
