"""The one place where failures become the wire's error bodies (contract 1.1 and 10.1, decision 16)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from meterhouse.domain.errors import (
    CatalogUnavailable,
    Conflict,
    Duplicate,
    Forbidden,
    Invalid,
    LogUnavailable,
    MeterhouseError,
    NotFound,
    NotYetCounted,
    Overloaded,
    PriceCharged,
    Problem,
    Rejected,
    StoreUnavailable,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)

Answer = tuple[int, dict[str, object], dict[str, str]]

RETRY_AFTER_SECONDS: Final = "1"


class MethodNotAllowed(Rejected):
    """The path exists, but not for this method (RFC 9110, 15.5.6); `allow` lists those that it has."""

    def __init__(self, allow: tuple[str, ...]) -> None:
        super().__init__(f"the method is not allowed here; allowed: {', '.join(allow)}")
        self.allow = allow


class UnsupportedMediaType(Rejected):
    """A Content-Type or Content-Encoding that the route does not read (RFC 9110, 15.5.16)."""

    def __init__(self, message: str, accept_encoding: str | None = None) -> None:
        super().__init__(message)
        self.accept_encoding = accept_encoding


class NotAcceptable(Rejected):
    """None of the media types that the caller accepts is offered (RFC 9110, 15.5.7)."""


class NotOffered(Rejected):
    """An operation of the contract that meterhouse has not (RFC 9110, 15.6.2)."""


class RequestTimeout(Rejected):
    """The request did not arrive whole in time (RFC 9110, 15.5.9)."""


# What a driver said stays in our log: it may name hosts and files.
_OUTAGES: Final[dict[type[Unavailable], str]] = {
    LogUnavailable: "the event log did not confirm the events; send them again with the same ids",
    StoreUnavailable: "the usage store is not available; try again",
    CatalogUnavailable: "the catalog is not available; try again",
}


def error_body(error: Exception) -> Answer:
    """Status, JSON body and extra headers for `error`; anything unexpected is a 500 that tells nothing."""
    match error:
        case Invalid():
            problems = [_item(problem) for problem in error.problems]
            return 400, {"error": "validation_error", "message": str(error), "errors": problems}, {}
        case TooLarge():
            return _plain(413, "too_large", error)
        case Unauthenticated():
            return _plain(401, "unauthorized", error, {"www-authenticate": "Bearer"})
        case Forbidden():
            return _plain(403, "forbidden", error)
        case NotFound():
            return _plain(404, "not_found", error)
        case PriceCharged():
            status, body, headers = _plain(409, "conflict", error)
            charged = {"fields": list(error.fields), "subscriptionCount": error.subscription_count}
            details = {"priceId": error.price_id} | charged
            return status, body | {"code": "PRICE_HAS_SUBSCRIPTIONS", "details": details}, headers
        case Conflict():
            status, body, headers = _plain(409, "conflict", error)
            return status, body | _details(error), headers
        case Duplicate():
            status, body, headers = _plain(400, "bad_request", error)
            return status, body | {"code": "DUPLICATE_RESOURCE"}, headers
        case MethodNotAllowed():
            return _plain(405, "method_not_allowed", error, {"allow": ", ".join(error.allow)})
        case NotAcceptable():
            return _plain(406, "not_acceptable", error)
        case UnsupportedMediaType():
            encodings = {} if error.accept_encoding is None else {"accept-encoding": error.accept_encoding}
            return _plain(415, "unsupported_media_type", error, encodings)
        case NotOffered():
            return _plain(501, "not_implemented", error)
        case RequestTimeout():
            # The rest of the request may still come and must not be read as the next one.
            return _plain(408, "request_timeout", error, {"connection": "close"})
        case Rejected():
            return _plain(400, "bad_request", error)
        case TooManyRequests():
            return _plain(429, "too_many_requests", error, {"retry-after": RETRY_AFTER_SECONDS})
        case NotYetCounted():
            return _plain(504, "not_yet_counted", error, {"retry-after": RETRY_AFTER_SECONDS})
        case Overloaded():
            return _plain(503, "overloaded", error, {"retry-after": RETRY_AFTER_SECONDS})
        case Unavailable():
            message = _OUTAGES.get(type(error), "temporarily not available; try again")
            return (
                503,
                {"error": "unavailable", "message": message},
                {"retry-after": RETRY_AFTER_SECONDS},
            )
        case MeterhouseError() | _:
            return 500, {"error": "internal_error", "message": "something went wrong on our side"}, {}


def _plain(
    status: int, error: str, cause: MeterhouseError, headers: Mapping[str, str] | None = None
) -> Answer:
    return status, {"error": error, "message": str(cause) or error.replace("_", " ")}, dict(headers or {})


def _details(error: Conflict) -> dict[str, object]:
    blockers = [
        {"type": one.type, "count": one.count, "items": [dict(item) for item in one.items]}
        for one in error.blockers
    ]
    code = {} if error.code is None else {"code": error.code}
    return code | ({"details": {"blockers": blockers}} if blockers else {})


def _item(problem: Problem) -> dict[str, object]:
    item: dict[str, object] = {"field": problem.field, "message": problem.message, "code": problem.code}
    if problem.index is not None:
        item["index"] = problem.index
    return item
