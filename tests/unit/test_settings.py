"""Settings that need more than a type, and never show what they hide."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from meterhouse.adapters.catalog.engines import DatabaseLimits
from meterhouse.settings import (
    AggregatorSettings,
    CatalogSettings,
    KafkaSettings,
    LogSettings,
    TelemetrySettings,
    what_is_wrong,
)

_URL = "postgresql://meter:s3cret@127.0.0.1/meterhouse"


def test_the_catalogs_password_is_in_nothing_that_can_be_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_CATALOG_URL", _URL)
    settings = CatalogSettings()
    assert settings.url.get_secret_value() == _URL
    assert "s3cret" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    monkeypatch.setenv("METERHOUSE_CATALOG_CONNECTIONS", "none")
    with pytest.raises(ValidationError) as caught:
        CatalogSettings()
    assert "s3cret" not in f"{caught.value} {caught.value!r}"


def test_the_catalogs_limits_are_those_of_the_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DatabaseLimits(**CatalogSettings().model_dump(exclude={"url"})) == DatabaseLimits()
    monkeypatch.setenv("METERHOUSE_CATALOG_CONNECTIONS", "9")
    monkeypatch.setenv("METERHOUSE_CATALOG_STATEMENT_TIMEOUT", "PT0.5S")
    limits = DatabaseLimits(**CatalogSettings().model_dump(exclude={"url"}))
    assert (limits.connections, limits.statement_timeout) == (9, timedelta(milliseconds=500))


def test_kafka_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_KAFKA", "a:1,b:2")
    monkeypatch.setenv("METERHOUSE_KAFKA_TOPIC", "usage")
    monkeypatch.setenv("METERHOUSE_KAFKA_SESSION_TIMEOUT", "PT8S")
    monkeypatch.setenv("METERHOUSE_KAFKA_MAX_BATCH_BYTES", "5000")
    settings = KafkaSettings()
    assert (settings.servers().bootstrap, settings.topic) == ("a:1,b:2", "usage")
    assert settings.session_timeout == timedelta(seconds=8)
    assert settings.limits().batch_bytes == 5000


def test_no_password_shows_in_a_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("METERHOUSE_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
    monkeypatch.setenv("METERHOUSE_KAFKA_SASL_USERNAME", "meter")
    monkeypatch.setenv("METERHOUSE_KAFKA_SASL_PASSWORD", "hunter2")
    settings = KafkaSettings()
    assert "hunter2" not in f"{settings!r} {settings} {settings.servers()!r} {settings.model_dump_json()}"
    arguments = settings.servers().client_arguments()
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("meter", "hunter2")
    assert (arguments["security_protocol"], arguments["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert arguments["ssl_context"].check_hostname


def test_half_a_login_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("METERHOUSE_KAFKA_SASL_USERNAME", "meter")
    with pytest.raises(ValidationError, match="needs sasl_username and sasl_password"):
        KafkaSettings()


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    certificate = tmp_path / "own.pem"
    certificate.touch()
    with pytest.raises(ValidationError, match="belong together"):
        KafkaSettings(ssl_certfile=certificate)


def test_a_setting_that_is_wrong_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_LOG_LEVEL", "hunter2")
    with pytest.raises(ValidationError) as caught:
        LogSettings()
    said = what_is_wrong(caught.value)
    assert said.startswith("METERHOUSE_LOG_LEVEL: Input should be 'DEBUG'")
    assert "hunter2" not in said
    monkeypatch.setenv("METERHOUSE_KAFKA_SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("METERHOUSE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    with pytest.raises(ValidationError) as caught:
        KafkaSettings()
    assert "needs sasl_username" in what_is_wrong(caught.value)
    assert "hunter2" not in what_is_wrong(caught.value)


@pytest.mark.parametrize(
    ("environment", "exports"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_spans_leave_only_where_a_collector_is_named(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], exports: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert TelemetrySettings().exports_spans is exports


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6", 6), ("2.5", 2.5), ("PT2.5S", 2.5), ("00:01:15", 75), ("1e1", None), ("-6", None)],
)
def test_durations_are_seconds_or_iso_8601(
    monkeypatch: pytest.MonkeyPatch, text: str, seconds: float | None
) -> None:
    for variable in ("METERHOUSE_KAFKA_SESSION_TIMEOUT", "METERHOUSE_AGGREGATOR_TOKEN_MEMORY"):
        monkeypatch.setenv(variable, text)
    if seconds is None:
        with pytest.raises(ValidationError):
            KafkaSettings()
        with pytest.raises(ValidationError):
            AggregatorSettings()
    else:
        expected = timedelta(seconds=seconds)
        assert (KafkaSettings().session_timeout, AggregatorSettings().token_memory) == (expected, expected)
