"""Pages that show requests and what they are answered: a word in capitals is an id that an answer gave."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from tests.api import Api, decode

_PAIR: Final = re.compile(r"```http\n(\w+) (\S+)\n(.*?)```\n```json\n(.*?)```", re.DOTALL)
_NAME: Final = re.compile(r"[A-Z]{3,}")


def exchanges(page: str) -> list[tuple[str, str, str, str]]:
    """Method, path, body and answer of each request, in their order."""
    found = _PAIR.findall(page)
    assert len(found) == page.count("```http") > 5, "every request has an answer"
    return found


def named(text: str, names: dict[str, str]) -> str:
    """The text with the ids that its names stand for."""
    for name, id in names.items():
        text = re.sub(rf'(?<=["/=]){name}(?=["/\n?&]|$)', id, text)
    return text


def walk(page: str, api: Api, names: dict[str, str]) -> Iterator[str]:
    """Ask for all that the page asks for, each after what was posted before; each path once it is answered.

    Fails where an answer is not what the page shows.
    """
    for method, path, body, shown in exchanges(page):
        address, content = named(path, names), named(body, names)
        if address == "/v0/events":
            response = api.post_single(decode(content.encode()))
        elif address == "/api/v1/events":
            response = api.post_batch(decode(content.encode()))
        else:
            after = {"meterhouse-after": api.position} if api.positions else {}
            headers = {"content-type": "application/json", **after}
            response = api.client.request(method, address, content=content, headers=headers)
        assert response.is_success, response.text
        compare(decode(shown.encode()), decode(response.content), names)
        yield address


def compare(shown: Any, answer: Any, names: dict[str, str]) -> None:
    """Fail unless the answer has all that is shown; learn what the names stand for."""
    match shown:
        case dict():
            assert isinstance(answer, dict)
            for name, value in shown.items():
                compare(value, answer[name], names)
        case list():
            assert len(shown) == len(answer), answer
            for one, other in zip(shown, answer, strict=True):
                compare(one, other, names)
        case str() if _NAME.fullmatch(shown):
            assert names.setdefault(shown, answer) == answer
        case _:
            assert shown == answer
