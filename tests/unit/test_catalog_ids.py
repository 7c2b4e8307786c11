"""Identifiers have the contract's shape."""

from __future__ import annotations

import re

from meterhouse.adapters.catalog.ids import new_id


def test_an_id_is_its_prefix_and_24_letters_and_digits() -> None:
    assert re.fullmatch(r"bm_[A-Za-z0-9]{24}", new_id("bm"))


def test_ids_differ() -> None:
    assert len({new_id("prod") for _ in range(1_000)}) == 1_000
