"""docs/instruments.md, docs/settings.md and docs/compatibility.md, made from the code.

`uv run python -m tests.documents` writes them; tests/unit/test_documents.py keeps the files equal to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, get_args

from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from meterhouse.settings import (
    AggregatorSettings,
    CatalogSettings,
    ClickHouseSettings,
    IngestSettings,
    KafkaSettings,
    LogSettings,
    QuerySettings,
    TelemetrySettings,
    WebhookSettings,
)
from meterhouse.telemetry.instruments import (
    AggregatorInstruments,
    IngestInstruments,
    NotifierInstruments,
    PoolInstruments,
    QueryInstruments,
)
from query.not_offered import offered
from query.routes import ROUTERS

_DOCS: Final = Path(__file__).parents[1] / "docs"
_HOW: Final = "<!-- made by `uv run python -m tests.documents`; tests/unit/test_documents.py compares -->"

INSTRUMENTS: Final[dict[str, Callable[[CollectorRegistry], object]]] = {
    "ingest": IngestInstruments,
    "aggregator": AggregatorInstruments,
    "query": QueryInstruments,
    "notifier, in the aggregator": NotifierInstruments,
    "all, as far as they have the pool": PoolInstruments,
}

_SETTINGS: Final[tuple[tuple[str, type[BaseSettings]], ...]] = (
    ("ingest", IngestSettings),
    ("aggregator", AggregatorSettings),
    ("query", QuerySettings),
    ("Webhooks", WebhookSettings),
    ("The event log on Kafka", KafkaSettings),
    ("The catalog on PostgreSQL", CatalogSettings),
    ("ClickHouse", ClickHouseSettings),
    ("Logs", LogSettings),
    ("Traces", TelemetrySettings),
)


def instruments() -> str:
    """docs/instruments.md."""
    lines = [
        "# Instruments",
        _HOW,
        "",
        "What `GET /metrics` shows, in Prometheus' text format; `meterhouse dev` shows all at one port.",
        "Each process also shows its memory, CPU and open files (`process_…`). Times are in seconds. A",
        "histogram `x` is `x_bucket`, `x_count` and `x_sum`.",
    ]
    for service, kind in INSTRUMENTS.items():
        lines += ["", f"## {service}", "", "| instrument | kind | labels | shows |", "|---|---|---|---|"]
        lines += [_instrument(one) for one in vars(kind(CollectorRegistry())).values()]
    return "\n".join(lines) + "\n"


def names_of(kind: Callable[[CollectorRegistry], object]) -> list[str]:
    """The instruments that a class of them declares, as Prometheus names them."""
    return [_name(one) for one in vars(kind(CollectorRegistry())).values()]


def _instrument(one: Any) -> str:
    labels = ", ".join(f"`{label}`" for label in one._labelnames)
    return f"| `{_name(one)}` | {one._type} | {labels} | {one._documentation} |"


def _name(one: Any) -> str:
    return f"{one._name}_total" if one._type == "counter" else str(one._name)


def settings() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings",
        _HOW,
        "",
        "Environment variables, read when a process starts. Durations are seconds (`2.5`) or ISO 8601",
        "(`PT2.5S`). What is wrong stops the process with a sentence. The options of `meterhouse dev`, and",
        "`METERHOUSE_HOST` and `METERHOUSE_PORT` of the services, are in `--help`;",
        "[operations.md](operations.md) says more about ClickHouse, logs and traces.",
    ]
    for title, kind in _SETTINGS:
        lines += ["", f"## {title}", "", "| variable | default | means |", "|---|---|---|"]
        lines += _rows(kind)
    return "\n".join(lines) + "\n"


def _rows(kind: type[BaseSettings]) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        alias = field.validation_alias
        variable = alias if isinstance(alias, str) else f"{kind.model_config['env_prefix']}{name}".upper()
        means = field.description or ""
        if choices := _choices(field):
            means += f" One of {', '.join(f'`{one}`' for one in choices)}."
        yield f"| `{variable}` | {_shown(field.default)} | {means} |"


def _choices(field: FieldInfo) -> tuple[object, ...]:
    return tuple(one for one in get_args(field.annotation) if isinstance(one, str))


def _shown(default: object) -> str:
    match default:
        case None | "":
            return ""
        case SecretStr():
            return _shown(default.get_secret_value())
        case timedelta():
            return f"`{default.total_seconds():g}`"
        case bool():
            return f"`{str(default).lower()}`"
    return f"`{default}`"


def compatibility() -> str:
    """docs/compatibility.md."""
    found = list(offered(ROUTERS))
    there = sum(is_offered for *_, is_offered in found)
    lines = [
        "# Compatibility",
        _HOW,
        "",
        f"The published Paygentic clients have {len(found)} operations; {there} of them are offered.",
        'Any other one answers 501 in the shape of errors, with "is not offered by meterhouse".',
    ]
    for group, operations in groupby(found, key=itemgetter(0)):
        lines += ["", f"## {group}", "", "| operation | | offered |", "|---|---|---|"]
        lines += [
            f"| `{one.accessor}` | {one.method} `{one.path}` | {'yes' if is_offered else '501'} |"
            for _, one, is_offered in operations
        ]
    return "\n".join(lines) + "\n"


DOCUMENTS: Final = {
    _DOCS / "instruments.md": instruments,
    _DOCS / "settings.md": settings,
    _DOCS / "compatibility.md": compatibility,
}

if __name__ == "__main__":
    for path, make in DOCUMENTS.items():
        path.write_text(make(), "utf-8")
