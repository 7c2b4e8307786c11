"""Where a catalog is, from a URL that may hold a password: nothing here shows one."""

from __future__ import annotations

from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from meterhouse.domain.errors import Invalid

# What people write, by the driver that it means here.
_DRIVERS: Final = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def parse_address(url: str) -> URL:
    """The address that `sqlite:///path` or `postgresql://user:password@host:port/database` means.

    A query such as `?sslmode=verify-full` goes to libpq. Raises Invalid, without the password.
    """
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):  # the text of either may hold what it could not read
        raise _invalid() from None
    driver = _DRIVERS.get(address.drivername)
    if driver is None or not address.database:
        raise _invalid()
    return address.set(drivername=driver)


def _invalid() -> Invalid:
    return Invalid.field(
        "catalog URL", "must be like postgresql://user:password@host:5432/database or sqlite:///path"
    )
