"""Where the balances of a process go on from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from meterhouse.domain.allowance import Allowance
from meterhouse.domain.balance import Balance, Snapshot, burn_down
from meterhouse.domain.instant import Instant
from meterhouse.domain.period_usage import running_values, usage_phases
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.rollup import Reading

_KEPT: Final = 10_000


@dataclass(slots=True)
class Snapshots:
    """The newest state of each balance, which an answer goes on from where nothing before it has changed."""

    _newest: OrderedDict[str, Snapshot] = field(default_factory=OrderedDict)

    def burn_down(
        self, id: str, allowance: Allowance, asked: PhasesQuestion, readings: Sequence[Reading], at: Instant
    ) -> Balance:
        """The balance of the entitlement `id`, the same whatever is kept; `readings` answer `asked`."""
        running = running_values(asked.definition.aggregation, readings, asked.cuts, asked.resets)
        phases = tuple(usage_phases(running, asked.cuts, asked.resets))
        balance = burn_down(allowance, phases, at, snapshot=self._newest.pop(id, None))
        if balance.snapshot is not None:
            self._newest[id] = balance.snapshot
            if len(self._newest) > _KEPT:
                self._newest.popitem(last=False)
        return balance
