"""Logs: one JSON object a line on standard error, ours and those of every library, and no secret in any."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from meterhouse.telemetry.request_id import add_request_id

# The names under which we log ourselves; whatever else logs is a library.
OURS: Final = ("meterhouse", "ingest", "aggregator", "query", "notifier", "kafka")

_HIDDEN: Final = "***"

# Looked for in the finished line, where a quote inside of text is `\"`.
_TEXT: Final = r'(?:\\.|[^\s"\\/])'
_SECRETS: Final[Sequence[tuple[re.Pattern[str], str]]] = (
    (re.compile(rf'(://[^\s"\\/:@]*:){_TEXT}*@'), rf"\1{_HIDDEN}@"),
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]+"), _HIDDEN),
    (re.compile(r"(bearer\s+)[\w.~+/=-]+", re.IGNORECASE), rf"\1{_HIDDEN}"),
    (
        re.compile(r"(password\s*[=:]\s*)(?:'[^']*'|\\\"[^\"]*\"|[^\s\"',;&]+)", re.IGNORECASE),
        rf"\1{_HIDDEN}",
    ),
)

_SHARED: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    add_request_id,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure_logs(level: str = "INFO") -> None:
    """Set logging up for a whole process.

    `level` (DEBUG, INFO, WARNING, ERROR) is ours; libraries, which chatter, tell warnings and worse only.
    """
    chosen = logging.getLevelNamesMapping()[level]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
                _without_secrets,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(chosen, logging.WARNING))
    for name in OURS:
        logging.getLogger(name).setLevel(chosen)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def hide_secrets(line: str) -> str:
    """`line` without passwords in URLs and settings, API keys, and signing secrets of webhooks."""
    for pattern, instead in _SECRETS:
        line = pattern.sub(instead, line)
    return line


def _without_secrets(_logger: WrappedLogger, _method: str, line: str | EventDict) -> str:
    assert isinstance(line, str)
    return hide_secrets(line)
