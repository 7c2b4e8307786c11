"""Ingest over what is opened, by the environment's settings."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.app import create_app
from ingest.limits import Limits
from ingest.routes import PATHS
from meterhouse.adapters.clock import SystemClock
from meterhouse.ports.catalog import KeyRing
from meterhouse.ports.log import LogWriter
from meterhouse.settings import IngestSettings
from meterhouse.telemetry.instruments import IngestInstruments
from meterhouse.telemetry.shown import Telemetry

# Reading is always a question, also of the paths that events are sent to.
_READING = ("GET", "HEAD")


def ingest_beside(rest: ASGIApp, log: LogWriter, keys: KeyRing, shown: Telemetry) -> ASGIApp:
    """Ingest on its own paths, and `rest` on every other."""
    limits = Limits(**IngestSettings().model_dump())
    instruments = IngestInstruments(shown.registry)
    ingest = create_app(log, keys, SystemClock(), limits, instruments, spans=shown.spans)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        is_event = scope["type"] == "http" and scope["path"] in PATHS and scope["method"] not in _READING
        chosen = ingest if is_event else rest
        await chosen(scope, receive, send)

    return application
