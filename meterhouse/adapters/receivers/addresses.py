"""Which addresses a stranger may make us connect to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

# Reached through a public address, but only from inside: where a cloud tells machines their secrets.
_METADATA: Final = frozenset({IPv4Address("168.63.129.16")})

# Global unicast; all else of IPv6 is local, multicast, or a way to write an IPv4 address.
_UNICAST: Final = IPv6Network("2000::/3")
_NOT_REALLY: Final = (
    IPv6Network("2001::/23"),  # protocols, Teredo among them, which holds an IPv4 address
    IPv6Network("2001:db8::/32"),
    IPv6Network("2002::/16"),  # 6to4, the same
    IPv6Network("3fff::/20"),
)
_NOT_REALLY_4: Final = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv4Network("240.0.0.0/4"),
)


def is_public(text: str) -> bool:
    """Whether `text` is an address that everybody on the internet reaches the same host by."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        in_one = any(address in network for network in _NOT_REALLY)
        return address in _UNICAST and address.is_global and not in_one
    in_one = any(address in network for network in _NOT_REALLY_4)
    return address.is_global and not address.is_multicast and address not in _METADATA and not in_one
