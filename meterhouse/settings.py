"""Settings, one frozen class per service. Nothing else reads the environment.

Each field is also an environment variable: the class's prefix and the field's name in capitals, such as
METERHOUSE_INGEST_MAX_BATCH_EVENTS.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    FilePath,
    PositiveInt,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from meterhouse.adapters.kafka.limits import DeliveryLimits
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.adapters.receivers.urls import UrlRules


def _prefix(prefix: str) -> SettingsConfigDict:
    return SettingsConfigDict(env_prefix=prefix, frozen=True, extra="ignore")


def what_is_wrong(error: ValidationError) -> str:
    """A sentence that names the variables and never their values, which may be secrets."""
    kind = next((one for one in BaseSettings.__subclasses__() if one.__name__ == error.title), None)
    prefix = "" if kind is None else str(kind.model_config.get("env_prefix"))
    return "; ".join(
        f"{_variable(prefix, one['loc'])}: {one['msg']}" for one in error.errors(include_input=False)
    )


def _variable(prefix: str, place: tuple[int | str, ...]) -> str:
    name = ".".join(map(str, place))
    return name if name.startswith(prefix) else f"{prefix}{name.upper()}"


def _seconds(value: object) -> object:
    """A plain number is seconds; pydantic itself takes none from a text."""
    return f"PT{value}S" if isinstance(value, str) and _NUMBER.fullmatch(value) else value


_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?")

Duration = Annotated[timedelta, BeforeValidator(_seconds)]
Positive = Annotated[Duration, Field(gt=timedelta(0))]


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
    token_memory: Positive | None = Field(
        default=None,
        description="How long the tables are sure to remember an INSERT's token. Left out: for as long as "
        "their windows last while every partition flushes at its fastest, an hour at most.",
    )
    settle: Positive = Field(
        default=timedelta(seconds=150),
        description="After this time no INSERT that an aggregator was about to send can still land: it may "
        "run for 60 s, and before that wait 30 s for a client and the server 30 s for a body that stalls.",
    )


class QuerySettings(BaseSettings):
    """How long a question may take, and how much it may ask for; and where customers find their pages."""

    model_config = SettingsConfigDict(
        env_prefix="METERHOUSE_QUERY_", frozen=True, extra="ignore", populate_by_name=True
    )

    public_url: str = Field(
        default="",
        validation_alias="METERHOUSE_PUBLIC_URL",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Where the service is for people, `https://billing.example.com`: what links to pages of "
        "customers begin with. Left out: the address that the request for the link was sent to.",
    )

    after_timeout: Positive = Field(
        default=timedelta(seconds=10),
        description="How long a question waits for the position in `after`; then 504.",
    )
    max_windows: PositiveInt = Field(
        default=50_000, description="Windows that a question may ask for; more is a 400."
    )
    max_cells: PositiveInt = Field(
        default=250_000, description="Groups and windows that an answer is read from; more is a 400."
    )
    max_rows: PositiveInt = Field(
        default=2_000_000_000, description="Rows that a question may read; more is a 400."
    )
    max_bytes: PositiveInt = Field(
        default=4 * 1024**3, description="Memory of ClickHouse that a question may take; more is a 400."
    )
    max_time: Positive = Field(
        default=timedelta(seconds=4),
        description="How long ClickHouse may work on a question; then 400. The clients give up after 5 s.",
    )
    at_once: PositiveInt = Field(
        default=3,
        description="Questions of one merchant that ClickHouse works on at once; fewer than "
        "METERHOUSE_CLICKHOUSE_CONNECTIONS leave room for others.",
    )
    max_waiting: PositiveInt = Field(
        default=64, description="Questions of one merchant that may wait for their turn; one more is a 429."
    )


class WebhookSettings(BaseSettings):
    """How merchants are told of what happens, by the aggregators and by `meterhouse dev`."""

    model_config = _prefix("METERHOUSE_WEBHOOKS_")

    interval: Positive = Field(
        default=timedelta(seconds=1),
        description="How often a process looks for balances that changed, and for deliveries that are due.",
    )
    looks: PositiveInt = Field(
        default=1_000,
        description="Entitlements that a process looks at in one interval at most; the others wait.",
    )
    sweep: Positive = Field(
        default=timedelta(hours=1),
        description="No entitlement is left alone for longer, whether or not it is known to have changed.",
    )
    timeout: Positive = Field(
        default=timedelta(seconds=15), description="How long one attempt at a receiver may take in all."
    )
    at_once: PositiveInt = Field(default=64, description="Attempts of one process at once.")
    retention: Positive = Field(
        default=timedelta(days=30),
        description="For so long what was told is kept, with its deliveries, also those that wait.",
    )
    allow_http: bool = Field(default=False, description="`true` allows endpoints without TLS; for tests.")
    allow_private: bool = Field(
        default=False,
        description="`true` allows endpoints at private, loopback and link-local addresses; for tests.",
    )

    def urls(self) -> UrlRules:
        """Which endpoints may be told."""
        return UrlRules(self.allow_http, self.allow_private)


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


class KafkaSettings(BaseSettings):
    """The way to the event log on Kafka."""

    model_config = SettingsConfigDict(
        env_prefix="METERHOUSE_KAFKA_", frozen=True, extra="ignore", populate_by_name=True
    )

    bootstrap: str = Field(
        default="127.0.0.1:9092",
        validation_alias="METERHOUSE_KAFKA",
        description="Addresses of brokers, `host:port`, joined by commas.",
    )
    topic: str = Field(
        default="meterhouse.events",
        pattern=r"^[a-zA-Z0-9._-]{1,238}$",
        description="The topic of events; `.deadletter` behind it names the topic of dead letters.",
    )
    group: str = Field(
        default="meterhouse.aggregator",
        min_length=1,
        description="The consumer group through which aggregators share the partitions out.",
    )
    session_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1))] = Field(
        default=timedelta(seconds=6),
        description="How long an aggregator may be silent before others take its partitions; the brokers' "
        "`group.min.session.timeout.ms` is the least they allow.",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="Whether connections are encrypted and whether we log in."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN", description="How we log in."
    )
    sasl_username: str | None = Field(default=None, description="As whom we log in.")
    sasl_password: SecretStr | None = Field(default=None, description="The password of that user.")
    ssl_cafile: FilePath | None = Field(
        default=None, description="Certificate authorities to trust, PEM; else those of the system."
    )
    ssl_certfile: FilePath | None = Field(default=None, description="Our own certificate, PEM.")
    ssl_keyfile: FilePath | None = Field(default=None, description="The key of our own certificate, PEM.")
    delivery_timeout: Positive = Field(
        default=timedelta(seconds=4),
        description="How long events may wait for the brokers' acknowledgement; then 503.",
    )
    max_waiting_bytes: PositiveInt = Field(
        default=128 * 1024 * 1024, description="Bytes of events waiting for the brokers; more is a 503."
    )
    max_batch_bytes: PositiveInt = Field(
        default=1_000_000,
        description="One record batch before compression, and so one event; the topic's `max.message.bytes` "
        "must be larger.",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        default="none",
        description="How record batches are compressed: zstd takes a fifth of the disk and the network for "
        "2 to 3 µs of CPU an event.",
    )

    def servers(self) -> KafkaServers:
        """The connection that these settings describe."""
        password = self.sasl_password
        return KafkaServers(
            bootstrap=self.bootstrap,
            security_protocol=self.security_protocol,
            sasl_mechanism=self.sasl_mechanism,
            sasl_username=self.sasl_username,
            sasl_password=None if password is None else password.get_secret_value(),
            ssl_cafile=self.ssl_cafile,
            ssl_certfile=self.ssl_certfile,
            ssl_keyfile=self.ssl_keyfile,
        )

    def limits(self) -> DeliveryLimits:
        """What the producer takes on."""
        return DeliveryLimits(
            delivery_timeout=self.delivery_timeout,
            waiting_bytes=self.max_waiting_bytes,
            batch_bytes=self.max_batch_bytes,
            compression=self.compression,
        )

    @model_validator(mode="after")
    def _has_what_the_protocol_needs(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"{self.security_protocol} needs sasl_username and sasl_password")
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise ValueError("ssl_certfile and ssl_keyfile belong together")
        return self


class LogSettings(BaseSettings):
    """What a process says on standard error."""

    model_config = _prefix("METERHOUSE_LOG_")

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO",
        description="The least that our own lines must matter; libraries say warnings and worse only.",
    )


class TelemetrySettings(BaseSettings):
    """Whether spans leave the process, by the names that OpenTelemetry gives its settings.

    Its SDK reads the others (docs/operations.md lists the useful ones) itself.
    """

    model_config = _prefix("OTEL_")

    exporter_otlp_endpoint: str = Field(
        default="", description="The collector, `http://host:4318`, for OTLP over HTTP; empty: no spans."
    )
    exporter_otlp_traces_endpoint: str = Field(
        default="", description="The same for spans alone, with the path: `http://host:4318/v1/traces`."
    )
    traces_exporter: str = Field(default="otlp", description="`none` turns spans off.")
    sdk_disabled: bool = Field(default=False, description="`true` turns spans off.")

    @property
    def exports_spans(self) -> bool:
        endpoint = self.exporter_otlp_traces_endpoint or self.exporter_otlp_endpoint
        return bool(endpoint) and self.traces_exporter != "none" and not self.sdk_disabled


class FaultSettings(BaseSettings):
    """Faults that tests place."""

    model_config = _prefix("METERHOUSE_")

    fault: str = Field(
        default="",
        description="`point:n`: the process kills itself when it passes that fault point the n-th time; "
        "`point:n:stop`: it stops itself, until a SIGCONT.",
    )
