"""Which URLs may be told, as far as a URL says; where its name leads is checked at every connection."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from meterhouse.adapters.receivers.addresses import is_public


@dataclass(frozen=True, slots=True)
class UrlRules:
    """Without `allow_http` it has to be https, and without `allow_private` a public host."""

    allow_http: bool = False
    allow_private: bool = False

    @property
    def schemes(self) -> tuple[str, ...]:
        """Those that are allowed."""
        return ("http", "https") if self.allow_http else ("https",)

    def refusal(self, url: str) -> str | None:
        """What is wrong with the URL, in words for whoever chose it; None where nothing is."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return "is not a URL"
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            return "must be a URL of printable ASCII; write other characters percent-encoded"
        if parts.scheme not in self.schemes or not parts.hostname or port == 0:
            return "must be a URL such as https://example.com/webhooks"
        if parts.username is not None or parts.password is not None or parts.fragment:
            return "must have no user, password or fragment"
        return None if self.allow_private else _private(parts)


def _private(parts: SplitResult) -> str | None:
    host = (parts.hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return "must be of a public host"
    try:
        ip_address(host)
    except ValueError:
        return None
    return None if is_public(host) else "must be of a public host"
