"""Which usage is asked for: conditions on dimensions and on the subject.

A dimension that an event does not have is "" (contract 10.2, decision 24), so `exists` is a condition like
any other: not one of ("",).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

SUBJECT: Final = "subject"  # every metric has it besides its dimensions

Texts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """The texts of `names` together are one of `rows`, each as long as `names`."""

    names: Texts
    rows: frozenset[Texts]


@dataclass(frozen=True, slots=True)
class Prefix:
    """The text of `name` begins with `prefix`."""

    name: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Not:
    condition: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of them; true of none."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of them; false of none."""

    conditions: tuple[Condition, ...]


Condition = OneOf | Prefix | Not | AllOf | AnyOf

ALWAYS: Final = AllOf(())


def one_of(name: str, *texts: str) -> OneOf:
    """The text of `name` is one of `texts`."""
    return OneOf((name,), frozenset((text,) for text in texts))


def holds(condition: Condition, text_of: Callable[[str], str]) -> bool:
    """Whether `condition` is true where `text_of` gives the text of each name."""
    match condition:
        case OneOf(names, rows):
            return tuple(text_of(name) for name in names) in rows
        case Prefix(name, prefix):
            return text_of(name).startswith(prefix)
        case Not(inner):
            return not holds(inner, text_of)
        case AllOf(conditions):
            return all(holds(one, text_of) for one in conditions)
        case AnyOf(conditions):
            return any(holds(one, text_of) for one in conditions)
    assert_never(condition)


def subjects_in(condition: Condition) -> frozenset[str] | None:
    """The subjects that it looks for, so that no others matter; None where it cannot be told."""
    match condition:
        case OneOf(names, rows) if SUBJECT in names:
            at = names.index(SUBJECT)
            subjects = frozenset(row[at] for row in rows)
            return None if "" in subjects else subjects
        case AllOf(conditions):
            told = [found for one in conditions if (found := subjects_in(one)) is not None]
            return min(told, key=len, default=None)
    return None


def names_in(condition: Condition) -> frozenset[str]:
    """Every dimension (or SUBJECT) that it looks at."""
    match condition:
        case OneOf(names, _):
            return frozenset(names)
        case Prefix(name, _):
            return frozenset([name])
        case Not(inner):
            return names_in(inner)
        case AllOf(conditions) | AnyOf(conditions):
            return frozenset().union(*map(names_in, conditions))
    assert_never(condition)
