"""Whatever logs, one JSON object a line comes out, and no secret in it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final

import pytest

from meterhouse.telemetry.logs import hide_secrets

# In a process of its own, because logging is set up for a whole process.
_PRELUDE: Final = """
import asyncio, logging, sys, warnings
import structlog
from meterhouse.telemetry.logs import configure_logs
from meterhouse.telemetry.request_id import begin_request
configure_logs(sys.argv[1])
"""


def _lines(script: str, level: str = "INFO") -> list[dict[str, Any]]:
    """What a process that runs `script` writes to standard error, each line parsed."""
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", _PRELUDE + script, level],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize(
    "library",
    ["aiokafka.conn", "uvicorn.error", "sqlalchemy.pool", "alembic", "clickhouse_connect", "asyncio"],
)
def test_a_library_s_lines_are_json_with_level_logger_and_time(library: str) -> None:
    [line] = _lines(f"logging.getLogger({library!r}).error('gave %s up', 3)")
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "gave 3 up", "level": "error", "logger": library}


def test_our_own_lines_have_the_same_shape_and_their_fields() -> None:
    [line] = _lines("structlog.get_logger('aggregator').info('claimed', partition=3)")
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "claimed", "partition": 3, "level": "info", "logger": "aggregator"}


def test_exceptions_and_warnings_are_one_line_each() -> None:
    first, second = _lines(
        """
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("asyncio").exception("never retrieved")
warnings.warn("old", DeprecationWarning)
"""
    )
    assert "ZeroDivisionError" in first["exception"]
    assert (second["logger"], second["level"]) == ("py.warnings", "warning")


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("DEBUG", ["ours 10", "ours 20", "ours 30", "theirs 30", "ours 40", "theirs 40"]),
        ("INFO", ["ours 20", "ours 30", "theirs 30", "ours 40", "theirs 40"]),
        ("ERROR", ["ours 40", "theirs 40"]),
    ],
)
def test_the_level_is_ours_and_libraries_only_warn(level: str, events: list[str]) -> None:
    script = """
for level in (10, 20, 30, 40):
    structlog.get_logger("ingest").log(level, f"ours {level}")
    logging.getLogger("aiokafka").log(level, f"theirs {level}")
"""
    assert [line["event"] for line in _lines(script, level)] == events


def test_a_request_s_id_is_in_every_line_of_its_task_and_in_no_other() -> None:
    script = """
async def serve(name):
    begin_request([(b"x-request-id", name.encode())])
    await asyncio.sleep(0)
    structlog.get_logger("query").info(name)
    logging.getLogger("asyncio").error(name)

async def main():
    await asyncio.gather(serve("r1"), serve("r2"))
    structlog.get_logger("query").info("outside")

asyncio.run(main())
"""
    *inside, outside = _lines(script)
    assert len(inside) == 4
    assert all(line["request_id"] == line["event"] for line in inside)
    assert "request_id" not in outside


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://meter:hunter2@db:5432/x",
        'postgresql://meter:hunter2"a@b@db:5432/x',
        "clickhouse at http://meter:hunter2@ch?ca_cert=x is away",
        "authorization: Bearer hunter2",
        "FATAL: password='hunter2' host=db",
        "sasl_plain_password: hunter2, x",
    ],
)
def test_a_secret_is_in_no_line_whoever_logs_it(text: str) -> None:
    script = f"""
text = {text!r}
structlog.get_logger("ingest").warning(text, error=text)
logging.getLogger("aiokafka").warning("no: %s", text)
try:
    raise OSError(text)
except OSError:
    logging.getLogger("asyncio").exception("lost")
"""
    lines = _lines(script)
    assert len(lines) == 3
    assert "hunter2" not in json.dumps(lines)
    assert "***" in lines[0]["event"]


@pytest.mark.parametrize("text", ["at 12:30:15 a@b", "http://db:8123/path", "12@example"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert hide_secrets(json.dumps({"event": text})) == json.dumps({"event": text})
