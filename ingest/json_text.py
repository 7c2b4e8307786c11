"""What has to hold for JSON text that is kept as it came.

msgspec checks the grammar of text that it hands on as `Raw`, lone surrogate escapes included, but neither
its UTF-8 nor how deep it is nested.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

from meterhouse.domain.errors import Invalid

MAX_DEPTH: Final = 100  # contract, decision 16

_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_OUTSIDE: Final = bytes(set(range(256)) - set(b"[]{},"))
# As signed bytes: an opening bracket is one level up, a closing one is one down, a comma stays.
_STEPS: Final = bytes.maketrans(b"[{]},", b"\x01\x01\xff\xff\x00")


def require_utf_8(text: bytes) -> None:
    """Raise Invalid unless `text` is UTF-8 all through."""
    if text.isascii():
        return
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise Invalid.field("body", f"is not UTF-8 (byte {error.start})", "invalid_encoding") from error


def is_deeper(text: bytes, levels: int) -> bool:
    """Whether arrays and objects are nested more than `levels` deep in JSON text, valid or not."""
    if text.count(b"{") + text.count(b"[") <= levels:
        return False
    return max(accumulate(_steps(text)), default=0) > levels


def first_deeper(batch: bytes, levels: int) -> int:
    """The index of the first item of a JSON array that is nested more than `levels` deep."""
    index = 0
    steps = _steps(batch)
    for step, depth in zip(steps, accumulate(steps), strict=True):
        if depth > levels + 1:
            break
        if step == 0 and depth == 1:
            index += 1
    return index


def _steps(text: bytes) -> memoryview[int]:
    return memoryview(_STRING.sub(b"", text).translate(_STEPS, _OUTSIDE)).cast("b")
