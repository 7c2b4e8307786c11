"""What holds for every route of the query service."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from query.routes import ROUTERS

_ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def calls_of(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    if dependant.call is not None:
        yield dependant.call
    for one in dependant.dependencies:
        yield from calls_of(one)


@pytest.mark.parametrize("route", _ROUTES, ids=lambda route: f"{sorted(route.methods)[0]} {route.path}")
def test_nothing_on_the_way_to_an_answer_is_handed_to_another_thread(route: APIRoute) -> None:
    """FastAPI runs functions that are not async in threads, each of which takes longer than what it does."""
    assert [call for call in calls_of(route.dependant) if not is_async(call)] == []


def is_async(call: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004
