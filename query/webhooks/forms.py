"""What a merchant's page of webhooks is asked to do, by forms (HTML, section 4.10.21: urlencoded)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import parse_qs

from fastapi import Request
from pydantic import BaseModel, ValidationError

from meterhouse.adapters.http.errors import UnsupportedMediaType, error_body
from meterhouse.domain.errors import Invalid, Rejected
from query.failures import problem_of
from query.route import whole_body
from query.webhooks.endpoints import EndpointChanges, NewEndpoint
from query.webhooks.view import Entered

M = TypeVar("M", bound=BaseModel)

_MOST_FIELDS: Final = 50


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form by their names."""

    fields: Mapping[str, Sequence[str]]

    @classmethod
    async def of(cls, request: Request) -> Form:
        """Raises TooLarge, UnsupportedMediaType for another kind of body, Invalid for what is none."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise UnsupportedMediaType("send the form that the page has")
        body = await whole_body(request)
        try:
            text = body.decode("ascii")
            fields = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
        except ValueError as error:
            raise Invalid("this is no form") from error
        return cls(fields)

    def one(self, name: str) -> str:
        """The field's value, "" where there is none."""
        return next(iter(self.fields.get(name, ())), "")

    def new_endpoint(self) -> NewEndpoint:
        """The endpoint that it describes. Raises Invalid."""
        return _checked(NewEndpoint, self._described())

    def changes(self) -> EndpointChanges:
        """All that it says of an endpoint. Raises Invalid."""
        return _checked(EndpointChanges, self._described())

    def entered(self, refusal: Rejected) -> Entered:
        """What somebody entered, to be put right."""
        return Entered(
            url=self.one("url"),
            description=self.one("description"),
            types=frozenset(self.fields.get("types", ())),
            problem=str(refusal),
            status=error_body(refusal)[0],
        )

    def _described(self) -> dict[str, object]:
        types = list(self.fields.get("types", ()))
        return {"url": self.one("url"), "description": self.one("description"), "eventTypes": types}


def _checked(model: type[M], fields: Mapping[str, object]) -> M:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        problems = tuple([problem_of(dict(one, loc=("form", *one["loc"]))) for one in error.errors()])
        raise Invalid("; ".join([f"{one.field}: {one.message}" for one in problems]), problems) from error
