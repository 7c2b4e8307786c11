"""JSON answers whose numbers are exact, and what OpenAPI says of failures."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from pydantic import BaseModel
from starlette.responses import Response

from meterhouse.domain.matching import plain
from query.wire import BlockedBody, ErrorBody, ValidationErrorBody

_encode = msgspec.json.Encoder(decimal_format="number").encode

_FAILURES = {
    401: "No API key, or one that is not known.",
    403: "The merchantId is not the key's own.",
    404: "The key's merchant has no such object.",
    406: "None of the media types of `Accept` is offered.",
    409: "Contradicts what is stored.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "Too many questions of the merchant are waiting already; try again after `Retry-After` seconds.",
    503: "A store is not available; try again after `Retry-After` seconds.",
    504: "The log is not counted up to `after` yet; ask again.",
}


def exact(number: Decimal) -> bytes:
    """`number` as a JSON number with all its digits and no exponent."""
    return plain(number).encode()


def json_answer(body: object, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    """`body`, with numbers that have every digit."""
    return Response(_encode(body), status, headers=dict(headers or {}), media_type="application/json")


def model_answer(body: BaseModel, status: int = 200) -> Response:
    """`body` under the contract's names."""
    return json_answer(body.model_dump(by_alias=True), status=status)


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route's answers other than success look like; any route may answer 401 and 503."""
    found: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody, "description": _FAILURES[status]}
        for status in sorted({401, 503, *statuses} - {400})
    }
    if 400 in statuses:
        found[400] = {"model": ValidationErrorBody, "description": "Fields that are wrong, and why."}
    return found


def blocked() -> dict[int | str, dict[str, Any]]:
    """What a refusal looks like that names what stands in the way."""
    return {409: {"model": BlockedBody, "description": "Others go with it; `details` name them."}}
