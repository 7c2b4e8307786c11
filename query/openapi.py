"""One OpenAPI document for the whole wire: the query routes and what others describe."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

Document = dict[str, Any]


def describe(app: FastAPI, extra: Mapping[str, Any]) -> Document:
    """The document of `app` with the paths and components of `extra` merged in."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.router.routes
    )
    for item in document["paths"].values():
        for operation in item.values():
            # A request that fails validation is answered 400 here; FastAPI describes its own 422.
            operation["responses"].pop("422", None)
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _merge(document, {key: extra[key] for key in ("paths", "components", "tags") if key in extra})
    return document


def _without_null(schema: Document) -> Document:
    """A parameter can be absent but not null, which FastAPI does not tell apart."""
    kinds: list[Document] = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    return {key: value for key, value in schema.items() if key != "anyOf"} | kinds[0]


def _merge(into: Document, extra: Mapping[str, Any]) -> None:
    for key, value in extra.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = deepcopy(value)
