"""Media types, parsed as RFC 9110 (8.3.1) says and never compared as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_ESSENCE: Final = re.compile(rf"[ \t]*({_WORD}/{_WORD})[ \t]*")
_PARAMETER: Final = re.compile(rf';[ \t]*(?:({_WORD})=(?:({_WORD})|"((?:[^"\\]|\\.)*)"))?[ \t]*')
_ESCAPE: Final = re.compile(r"\\(.)")
_UTF_8: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


@dataclass(frozen=True, slots=True)
class MediaType:
    """`essence` is "type/subtype" in lower case; names of `parameters` are in lower case too."""

    essence: str
    parameters: Mapping[str, str]

    @property
    def is_json(self) -> bool:
        """Whether the CloudEvents JSON format (3.1) counts it as JSON."""
        return self.essence in {"application/json", "text/json"} or self.essence.endswith("+json")

    @property
    def is_utf_8(self) -> bool:
        """Whether its text is UTF-8, as JSON has to be (RFC 8259, 8.1)."""
        return self.parameters.get("charset", "utf-8").lower() in _UTF_8


@lru_cache(maxsize=64)
def parse(text: str) -> MediaType | None:
    """Read a Content-Type header; None when it is not a media type."""
    essence = _ESSENCE.match(text)
    if essence is None:
        return None
    parameters: dict[str, str] = {}
    end = essence.end()
    while end < len(text):
        parameter = _PARAMETER.match(text, end)
        if parameter is None:
            return None
        name, token, quoted = parameter.groups()
        if name is not None:
            value = token if token is not None else _ESCAPE.sub(r"\1", quoted)
            parameters.setdefault(name.lower(), value)
        end = parameter.end()
    return MediaType(essence.group(1).lower(), parameters)
