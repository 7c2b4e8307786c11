"""Usage phase by phase: what a balance needs to know of a subject's events."""

from __future__ import annotations

from dataclasses import dataclass

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasesQuestion:
    """Usage of `subject` under `definition` in [cuts[0], cuts[1]), [cuts[1], cuts[2]) and so on.

    Events without a subject are its too where their external subject is `linked`. Of the cuts, which are in
    order, `resets` are those at which a period begins anew: what is unique is so within its period.
    """

    definition: Definition
    subject: str
    linked: str | None
    cuts: tuple[Instant, ...]
    resets: tuple[Instant, ...] = ()
