"""The engine as an HTTP server that ClickHouse's clients take for ClickHouse."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest

from deploy.local.clickhouse.engine import Engine, Received
from meterhouse.adapters.clickhouse.engine import Answer, Refused
from meterhouse.adapters.clickhouse.http_interface import create_interface

_AT_ONCE: Final = 16  # statements, each on a connection and a thread of its own
_AUTHENTICATION_FAILED: Final = 516
_SESSION_IS_LOCKED: Final = 373


@dataclass(frozen=True, slots=True)
class Login:
    """Who may use the server; with an empty password anybody."""

    user: str = "default"
    password: str = field(default="", repr=False)


def create_app(engine: Engine, login: Login) -> Starlette:
    """An ASGI application over the engine, for reading and writing."""
    turns = anyio.CapacityLimiter(_AT_ONCE)
    sessions: set[str] = set()

    async def answered(request: HttpRequest) -> Answer | None:
        _authenticate(request, login)
        received = Received(
            parameters=request.query_params, headers=request.headers, body=await request.body()
        )
        with _locked(sessions, request.query_params.get("session_id")):
            # As in ClickHouse, a client that goes away does not stop what it has begun.
            return await anyio.to_thread.run_sync(engine.answer, received, limiter=turns)

    return create_interface(answered)


def _authenticate(request: HttpRequest, login: Login) -> None:
    user, password = _credentials(request)
    right_password = secrets.compare_digest(password.encode(), login.password.encode())
    if login.password and not (user == login.user and right_password):
        message = (
            f"{user}: Authentication failed: password is incorrect, or there is no user with such name."
            " (AUTHENTICATION_FAILED)"
        )
        raise Refused(_AUTHENTICATION_FAILED, message)


def _credentials(request: HttpRequest) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password
    return (
        request.headers.get("x-clickhouse-user") or request.query_params.get("user", "default"),
        request.headers.get("x-clickhouse-key") or request.query_params.get("password", ""),
    )


@contextmanager
def _locked(sessions: set[str], session_id: str | None) -> Iterator[None]:
    """Hold the session, in which ClickHouse runs one statement at a time."""
    if session_id is None:
        yield
        return
    if session_id in sessions:
        message = f"Session {session_id} is locked by a concurrent client. (SESSION_IS_LOCKED)"
        raise Refused(_SESSION_IS_LOCKED, message)
    sessions.add(session_id)
    try:
        yield
    finally:
        sessions.discard(session_id)
