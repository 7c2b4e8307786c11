"""What the contract has and meterhouse has not: an answer that says so, for the clients to show."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import NoReturn

from fastapi import APIRouter
from fastapi.routing import APIRoute

from meterhouse.adapters.http.errors import NotOffered
from query.contract import OPERATIONS, Operation
from query.route import RawRoute, new_router

_INGESTED = Operation("POST", "/v0/events", "events.ingest")  # by another service, on the same address


def offered(routers: Iterable[APIRouter]) -> Iterator[tuple[str, Operation, bool]]:
    """Every operation of the contract with its group, and whether any of the routers has it."""
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    served = {(method, _shape(route.path)) for route in routes for method in route.methods or ()}
    for group, operations in OPERATIONS.items():
        for one in operations:
            yield group, one, one == _INGESTED or (one.method, _shape(one.path)) in served


def not_offered(routers: Iterable[APIRouter]) -> APIRouter:
    """A router that refuses every operation that none of the others has. It has to come after them."""
    refusing = new_router(RawRoute)
    missing = [one for _, one, is_offered in offered(routers) if not is_offered]
    for one in sorted(missing, key=_fixed_before_parameters):
        refusing.add_api_route(
            one.path, _refusal(one), methods=[one.method], include_in_schema=False, response_model=None
        )
    return refusing


def _fixed_before_parameters(operation: Operation) -> list[tuple[bool, str]]:
    """/invoices/lineItems is itself, and not an invoice."""
    return [(part.startswith("{"), part) for part in operation.path.split("/")]


def _refusal(operation: Operation) -> Callable[[], Awaitable[NoReturn]]:
    async def refuse() -> NoReturn:
        raise NotOffered(f"{operation.accessor} is not offered by meterhouse (docs/compatibility.md)")

    return refuse


def _shape(path: str) -> str:
    """The path, whatever its parameters are called."""
    return re.sub(r"\{[^}]*\}", "{}", path)
