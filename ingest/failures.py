"""What the log is told of requests that were answered with 5xx."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import structlog

from meterhouse.domain.errors import Overloaded, Unavailable

_log: Final = structlog.get_logger("ingest")

_OVERLOAD_SECONDS: Final = 1.0


class Failures:
    """A line for every failed request; of refused ones in an overload, one a second for them all.

    When there is too much to do already, a line for each would cost as much as accepting it.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._told_at: float | None = None
        self._untold = 0

    def tell(self, scope: Any, status: int, error: Exception) -> None:
        """Note that the request of this ASGI scope was answered with `status`, 500 or more, for `error`."""
        request = {"method": scope["method"], "path": scope["path"], "status": status}
        if isinstance(error, Overloaded):
            self._tell_of_overload(request, error)
        elif isinstance(error, Unavailable):
            _log.warning("events not accepted", **request, error=repr(error))
        else:
            _log.error("request failed", **request, error=repr(error), exc_info=error)

    def _tell_of_overload(self, request: dict[str, Any], error: Overloaded) -> None:
        now = self._clock()
        if self._told_at is not None and now - self._told_at < _OVERLOAD_SECONDS:
            self._untold += 1
            return
        _log.warning("events not accepted", **request, error=repr(error), others_since=self._untold)
        self._told_at, self._untold = now, 0
