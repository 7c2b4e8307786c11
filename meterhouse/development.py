"""The merchant that `meterhouse dev` makes, and that `meterhouse demo` speaks as."""

from __future__ import annotations

from typing import Final

MERCHANT: Final = "org_dev"
PRODUCT: Final = "prod_dev"
DEV_KEY: Final = "mh_dev"
