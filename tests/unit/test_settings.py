"""Settings never show what they hide."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from meterhouse.adapters.catalog.engines import DatabaseLimits
from meterhouse.settings import CatalogSettings

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
