"""The examples of docs/entitlements.md, each line in its turn, with the snapshot of the answer before."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from meterhouse.domain.allowance import cuts
from meterhouse.domain.balance import Balance, Snapshot, burn_down
from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.duration import Duration
from meterhouse.domain.entitlement import Entitlement, Metered, Period, UsagePeriod, template_grant
from meterhouse.domain.grant import Grant
from meterhouse.domain.instant import Instant, parse
from meterhouse.domain.period_usage import running_values, usage_phases
from meterhouse.domain.rollup import Latest, RollupState
from tests.phases import phase_readings

PAGE: Final = (Path(__file__).parents[2] / "docs" / "entitlements.md").read_text("utf-8")
EXAMPLES: Final = re.findall(r"\n([^\n]+)\n\n```\n(entitlement.*?)```", PAGE, re.DOTALL)
_WORDS: Final = ("every", "left", "status", "access", "period")
_TOTALS: Final = ("raised", "expired", "voided", "rolled_off", "overage_dropped", "credit_dropped")


@pytest.mark.parametrize("example", [text for _, text in EXAMPLES], ids=[title for title, _ in EXAMPLES])
def test_an_example_comes_to_what_the_page_says(example: str) -> None:
    first, *lines = example.splitlines()
    known = _Known(*_entitlement(_clauses(first.removeprefix("entitlement"))))
    for line in lines:
        known.read(line)
    assert known.asked


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 25
    assert len(EXAMPLES) == PAGE.count("\nentitlement")
    assert {line.split()[0] for _, text in EXAMPLES for line in text.splitlines()[1:]} >= {
        "grant",
        "void",
        "at",
    }


class _Known:
    """What is known of an entitlement so far, and the questions about it."""

    def __init__(self, entitlement: Entitlement, aggregation: Aggregation) -> None:
        self.entitlement, self.aggregation = entitlement, aggregation
        issued = template_grant(entitlement, id="T")
        self.grants: dict[str, Grant] = {} if issued is None else {"T": issued}
        self.events: list[tuple[Instant, str]] = []
        self.snapshot: Snapshot | None = None
        self.asked = 0

    def read(self, line: str) -> None:
        match line.split(maxsplit=2):
            case ["grant", id, clauses]:
                self.grants[id] = self._grant(id, _clauses(f"amount {clauses}"))
            case ["void", id, when]:
                self.grants[id] = replace(self.grants[id], voided_at=_instant(when))
            case ["cancel", when]:
                self.entitlement = replace(self.entitlement, canceled_at=_instant(when))
            case [when, "use", value]:
                self.events.append((_instant(when), value))
            case ["at", when, answer]:
                self._check(_instant(when.removesuffix(":")), _clauses(answer, ";"))
            case _:
                pytest.fail(f"{line} is not in the notation")

    def _grant(self, id: str, clauses: dict[str, str]) -> Grant:
        start = self.entitlement.active_from
        grant = Grant(
            id=id,
            amount=Decimal(clauses.pop("amount")),
            effective_at=_instant(clauses.pop("from")) if "from" in clauses else start,
            created_at=_instant(clauses.pop("created")) if "created" in clauses else start + len(self.grants),
            expires_at=_instant(clauses.pop("to")) if "to" in clauses else None,
            priority=int(clauses.pop("priority", "0")),
            reset_min_rollover=Decimal(clauses.pop("min", "0")),
        )
        if "max" in clauses:
            grant = replace(grant, reset_max_rollover=Decimal(clauses.pop("max")))
        assert not clauses
        return grant

    def _check(self, at: Instant, shown: dict[str, str]) -> None:
        balance = self._balance(at)
        self.snapshot = balance.snapshot
        self.asked += 1
        assert balance.balance == Decimal(shown.pop("balance"))
        assert balance.usage_in_period == Decimal(shown.pop("usage"))
        left = re.findall(r"(\w+) ([^ ,]+)", shown.pop("left", ""))
        assert balance.remainders == {id: Decimal(amount) for id, amount in left}
        assert (balance.overage, balance.credit) == tuple(
            Decimal(shown.pop(name, "0")) for name in ("overage", "credit")
        )
        assert {name: getattr(balance.totals, name) for name in _TOTALS} == {
            name: Decimal(shown.pop(name.replace("_", " "), "0")) for name in _TOTALS
        }
        self._check_access(at, balance, shown)
        assert not shown

    def _check_access(self, at: Instant, balance: Balance, shown: dict[str, str]) -> None:
        if "status" in shown:
            assert self.entitlement.status(at) == shown.pop("status")
        if "access" in shown:
            access = self.entitlement.has_access(at, balance.balance)
            assert access == {"yes": True, "no": False}[shown.pop("access")]
        if "period" in shown:
            start, end = shown.pop("period").split(" to ")
            assert self.entitlement.current_period(at) == Period(
                _instant_or_open(start), _instant_or_open(end)
            )

    def _balance(self, at: Instant) -> Balance:
        allowance = self.entitlement.allowance(tuple(self.grants.values()), at)
        instants = cuts(allowance, at)
        states = [self._state(start, end) for start, end in pairwise(instants)]
        readings = list(phase_readings(states, instants, allowance.resets))
        running = running_values(self.aggregation, readings, instants, allowance.resets)
        phases = list(usage_phases(running, instants, allowance.resets))
        fresh = burn_down(allowance, phases, at)
        assert burn_down(allowance, phases, at, snapshot=self.snapshot) == fresh
        return fresh

    def _state(self, start: Instant, end: Instant) -> RollupState:
        state = RollupState()
        for number, (when, text) in enumerate(self.events):
            if start <= when < end:
                unique = self.aggregation is Aggregation.UNIQUE_COUNT
                value = Decimal(0) if unique else Decimal(text)
                texts = frozenset({int.from_bytes(text.encode())})
                latest = Latest(when, number, 0, number, value)
                state = state.merge(RollupState(1, value, value, value, latest, texts))
        return state


def _entitlement(clauses: dict[str, str]) -> tuple[Entitlement, Aggregation]:
    start = _instant(clauses.pop("from", "01-01"))
    every, anchor = clauses.pop("every", None), clauses.pop("anchor", None)
    metered = Metered(
        usage_period=None
        if every is None
        else UsagePeriod(Duration.parse(every), None if anchor is None else _instant(anchor)),
        is_soft_limit=clauses.pop("soft", None) is not None,
        issue_after_reset=Decimal(clauses.pop("issues", "0")),
        issue_after_reset_priority=int(clauses.pop("priority", "0")),
        preserve_overage_at_reset=clauses.pop("carries overage", None) is not None,
        reset_max_rollover=Decimal(clauses.pop("max", "0")),
        reset_min_rollover=Decimal(clauses.pop("min", "0")),
    )
    return Entitlement(
        id="ent_1",
        merchant_id="org_1",
        customer_id="cus_1",
        feature_id="feat_1",
        template=metered,
        active_from=start,
        active_to=_instant(clauses.pop("to")) if "to" in clauses else None,
        created_at=start,
    ), Aggregation(clauses.popitem()[0] if clauses else "SUM")


def _clauses(text: str, separator: str = ",") -> dict[str, str]:
    """`max 50, soft` as {"max": "50", "soft": ""}: a value begins with a digit, or after one of _WORDS."""
    found = {}
    for clause in filter(None, (part.strip() for part in text.split(separator))):
        name, _, value = clause.partition(" ")
        if name not in _WORDS:
            match = re.fullmatch(r"([A-Za-z_ ]+?)(?: ([-\d].*))?", clause)
            assert match, f"{clause} is not in the notation"
            name, value = match[1], match[2] or ""
        found[name] = value
    return found


def _instant(text: str) -> Instant:
    date, _, time = text.partition("T")
    year = "" if len(date) == 10 else "2026-"
    return parse(f"{year}{date}T{time or '00:00'}{':00' if len(time) < 6 else ''}Z")


def _instant_or_open(text: str) -> Instant | None:
    return None if text == "open" else _instant(text)
