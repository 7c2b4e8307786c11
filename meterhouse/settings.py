"""Settings, one frozen class per service. Nothing else reads the environment.

Each field is also an environment variable: the class's prefix and the field's name in capitals, such as
METERHOUSE_INGEST_MAX_BATCH_EVENTS.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _prefix(prefix: str) -> SettingsConfigDict:
    return SettingsConfigDict(env_prefix=prefix, frozen=True, extra="ignore")


Positive = Annotated[timedelta, Field(gt=timedelta(0))]


class IngestSettings(BaseSettings):
    """What ingest accepts."""

    model_config = _prefix("METERHOUSE_INGEST_")

    max_event_bytes: PositiveInt = Field(
        default=256 * 1024, description="The JSON text of one event; more is a 413."
    )
    max_batch_events: PositiveInt = Field(default=10_000, description="Events in one request; more is a 413.")
    max_batch_bytes: PositiveInt = Field(
        default=16 * 1024 * 1024, description="One request's body after decompression; more is a 413."
    )
    max_ahead: Positive = Field(
        default=timedelta(hours=24), description="How far ahead of now an event may be; more is a 400."
    )
    max_waiting_requests: PositiveInt = Field(
        default=2_000, description="Requests waiting for the log at once; one more is a 503."
    )
    max_waiting_bytes: PositiveInt = Field(
        default=128 * 1024 * 1024, description="Bytes of requests waiting for the log at once; more is a 503."
    )
    max_body_wait: Positive = Field(
        default=timedelta(seconds=30), description="How long one request's body may take to arrive; then 408."
    )


class AggregatorSettings(BaseSettings):
    """When the aggregator writes what it has read."""

    model_config = _prefix("METERHOUSE_AGGREGATOR_")

    flush_events: PositiveInt = Field(default=50_000, description="Events that make a batch due.")
    flush_age: Positive = Field(
        default=timedelta(milliseconds=200), description="Age that makes a batch due."
    )


class QuerySettings(BaseSettings):
    """How long a question may take."""

    model_config = _prefix("METERHOUSE_QUERY_")

    after_timeout: Positive = Field(
        default=timedelta(seconds=10),
        description="How long a question waits for the position in `after`; then 504.",
    )


class CatalogSettings(BaseSettings):
    """The way to the catalog that the processes of a distributed installation share.

    All but `url` are the fields of the adapter's DatabaseLimits. The URL shows itself nowhere, because it
    may hold a password.
    """

    model_config = SettingsConfigDict(
        env_prefix="METERHOUSE_CATALOG_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    url: SecretStr = Field(
        default=SecretStr(""),
        description="`postgresql://user:password@host:5432/database`, its query for libpq (`?sslmode=…`).",
    )
    connections: PositiveInt = Field(default=4, description="Connections of a process, with a thread each.")
    connect_timeout: Positive = Field(
        default=timedelta(seconds=2), description="How long connecting may take; libpq's least is 2 s."
    )
    statement_timeout: Positive = Field(
        default=timedelta(seconds=3),
        description="How long one statement may take, waiting for locks included; then unavailable.",
    )


class ClickHouseSettings(BaseSettings):
    """The way to ClickHouse."""

    model_config = _prefix("METERHOUSE_CLICKHOUSE_")

    url: SecretStr = Field(
        default=SecretStr("http://localhost:8123/default"),
        description="http(s)://user:password@host:port/database?ca_cert=FILE; only the host is needed.",
    )
    user: str = Field(default="", description="Goes before the user of the URL.")
    password: SecretStr = Field(default=SecretStr(""), description="Goes before the password of the URL.")
    cluster: str = Field(
        default="",
        description="The cluster that the tables are spread over, as in remote_servers; empty: one node.",
    )
    connections: PositiveInt = Field(default=4, description="Clients, with a thread each.")
    timeout: Positive = Field(
        default=timedelta(seconds=75),
        description="How long an answer may take; longer than the 60 seconds that an INSERT may.",
    )


class FaultSettings(BaseSettings):
    """Faults that tests place."""

    model_config = _prefix("METERHOUSE_")

    fault: str = Field(
        default="",
        description="`point:n`: the process kills itself when it passes that fault point the n-th time.",
    )
