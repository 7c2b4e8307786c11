"""A page as a browser would take it apart."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

_VOID: Final = {"meta", "input", "br"}

Form = dict[str, list[str]]


class HtmlPage(HTMLParser):
    """`tags` in order, each with its attributes' names; `text` is what is read, `style` what is not.

    `forms` have what each would send as it stands, by what it does.
    """

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.style = ""
        self.forms: dict[str, Form] = {}
        self._texts: list[str] = []
        self._open: list[str] = []
        self._form: Form = {}
        self.feed(source)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        if tag == "input":
            self._enter(dict(attrs))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.style += data
        else:
            self._texts.append(data)

    def _enter(self, field: dict[str, str | None]) -> None:
        """Each form begins with the hidden field `do`."""
        name, value = field["name"] or "", field.get("value") or ""
        if name == "do":
            self._form = self.forms.setdefault(value, {})
        if field.get("type") != "checkbox" or "checked" in field:
            self._form.setdefault(name, []).append(value)
