"""Values of a statement, each bound under a name of its own and never spliced into the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meterhouse.domain.condition import SUBJECT, AllOf, AnyOf, Condition, Not, OneOf, Prefix


@dataclass(slots=True)
class Binding:
    """What is bound so far. `links` are those of a UsageQuestion."""

    parameters: dict[str, object] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    _subject: str = field(init=False, default="")

    def bind(self, value: object, kind: str) -> str:
        """The place in the text where `value`, of ClickHouse's type `kind`, will be."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"

    def text(self, value: str) -> str:
        return self.bind(value, "String")

    def named(self, name: str) -> str:
        """The column of a dimension, or of the subject, in `metered_events` and the rollups."""
        return self._linked_subject() if name == SUBJECT else f"dimensions[{self.text(name)}]"

    def _linked_subject(self) -> str:
        if not self.links:
            return SUBJECT
        if not self._subject:
            external = self.bind(list(self.links), "Array(String)")
            subjects = self.bind(list(self.links.values()), "Array(String)")
            linked = f"transform(external_subject, {external}, {subjects}, '')"
            self._subject = f"if({SUBJECT} = '', {linked}, {SUBJECT})"
        return self._subject

    def condition(self, condition: Condition) -> str:
        """`condition` over these columns."""
        match condition:
            case OneOf((name,), rows) if name == SUBJECT and self.links and ("",) not in rows:
                # Spelled out, so that the primary key finds the rows.
                external = [one for one, subject in self.links.items() if (subject,) in rows]
                subjects = self.bind(sorted(text for (text,) in rows), "Array(String)")
                linked = f"{SUBJECT} = '' AND external_subject IN {self.bind(external, 'Array(String)')}"
                return f"({SUBJECT} IN {subjects} OR {linked})"
            case OneOf((name,), rows):
                texts = sorted(text for (text,) in rows)
                if len(texts) == 1:
                    return f"{self.named(name)} = {self.text(texts[0])}"
                return f"{self.named(name)} IN {self.bind(texts, 'Array(String)')}"
            case OneOf(names, rows):
                columns = ", ".join(map(self.named, names))
                kind = f"Array(Tuple({', '.join(['String'] * len(names))}))"
                return f"({columns}) IN {self.bind(sorted(rows), kind)}"
            case Prefix(name, prefix):
                return f"startsWith({self.named(name)}, {self.text(prefix)})"
            case Not(inner):
                return f"NOT ({self.condition(inner)})"
            case AllOf(conditions):
                return " AND ".join([f"({self.condition(one)})" for one in conditions]) or "true"
            case AnyOf(conditions):
                return " OR ".join([f"({self.condition(one)})" for one in conditions]) or "false"
