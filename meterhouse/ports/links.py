"""What signed links are made and opened with, as a port."""

from __future__ import annotations

from typing import Protocol


class LinkCatalog(Protocol):
    """The key of signed links, and whose links are good."""

    async def key(self) -> bytes:
        """The same for every process, at every call: it is made once, when somebody asks for it first."""

    async def is_served(self, merchant_id: str) -> bool:
        """Whether the merchant has an API key that works; without one nobody serves it any more."""
