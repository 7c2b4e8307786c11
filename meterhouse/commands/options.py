"""Options that several commands have, and what they mean."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Final

import typer

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.data_folder import DataFolder
from meterhouse.settings import CatalogSettings
from meterhouse.stores import shared_catalog

DEFAULT_DATA: Final = Path(".meterhouse")

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="METERHOUSE_DEV_DATA",
        help="The folder that keeps everything; without one METERHOUSE_CATALOG_URL, else .meterhouse.",
    ),
]


def folder_of(data: Path | None) -> DataFolder | None:
    """The folder that is meant; None where it is the stores that the environment names."""
    if data is None and CatalogSettings().url:
        return None
    return DataFolder(data or DEFAULT_DATA)


def catalog_of(data: Path | None) -> AbstractAsyncContextManager[Catalog]:
    """The folder's catalog where one is meant, else the one that the environment names."""
    folder = folder_of(data)
    if folder is None:
        return shared_catalog()
    folder.create()
    return Catalog.open(folder.catalog_url)
