"""What ingest's routes look like in OpenAPI 3.1: paths and schemas for the one document of all services."""

from __future__ import annotations

from typing import Any, Final

from ingest.routes import BATCHED, JSON, STRUCTURED

_TEXT: Final = {
    "type": "string",
    "minLength": 1,
    "pattern": r"^[^\u0000-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff]+$",
}
_EXTERNAL: Final = {"type": "string", "pattern": "^[a-zA-Z0-9_-]+$", "minLength": 1, "maxLength": 255}
_BASE_64: Final = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_TIME: Final = {
    "type": "string",
    "format": "date-time",
    "pattern": "^(19[7-9][0-9]|2[01][0-9]{2})-",
    "description": "RFC 3339; without an offset it is UTC, and digits beyond microseconds are cut."
    " More than 24 hours (a setting) ahead of now is a 400.",
}


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    """null means absent."""
    return {"anyOf": [schema, {"type": "null"}]}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _error(description: str, schema: str = "IngestError", headers: str | None = None) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": description,
        "content": {JSON: {"schema": _ref(schema)}},
    }
    if headers is not None:
        response["headers"] = {headers: {"schema": {"type": "string"}}}
    return response


def _accepted(schema: str) -> dict[str, Any]:
    return {
        "description": "The log has the events; each will be counted once.",
        "headers": {
            "Meterhouse-Position": {
                "description": "`partition:offset`, several separated by commas; pass it as `after`.",
                "schema": {"type": "string"},
                "required": True,
            }
        },
        "content": {JSON: {"schema": _ref(schema)}},
    }


_REFUSALS: Final[dict[str, Any]] = {
    "400": _error("An event is wrong; nothing was written.", "IngestValidationError"),
    "401": _error("No API key, or one that is not known.", headers="WWW-Authenticate"),
    "403": _error("An event names another merchant's namespace; nothing was written."),
    "408": _error("The body did not arrive in time; nothing was written."),
    "413": _error("An event, a batch or a body is too large; nothing was written."),
    "415": _error("A Content-Type or Content-Encoding that is not read here; nothing was written."),
    "500": _error("A failure on our side."),
    "503": _error("The log is not available, or too many requests are waiting.", headers="Retry-After"),
}

_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error", "message"],
    "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
}

_VALIDATION_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error", "message", "errors"],
    "properties": {
        "error": {"const": "validation_error"},
        "message": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message", "code"],
                "properties": {
                    "index": {"type": "integer", "minimum": 0, "description": "In a batch: which event."},
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "code": {"type": "string"},
                },
            },
        },
    },
}

_EVENT_REQUEST: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "source", "data"],
    "properties": {
        "type": _TEXT,
        "source": _TEXT,
        "subject": _optional(_TEXT),
        "externalSubject": _optional(_EXTERNAL),
        "data": {"type": "object"},
        "namespace": _optional({**_TEXT, "description": "The caller's own merchant; any other is a 403."}),
        "timestamp": _optional(_TIME),
        "idempotencyKey": _optional({**_TEXT, "description": "The event's id; made up when absent."}),
        "externalId": _optional(_EXTERNAL),
    },
    "anyOf": [
        {"required": ["subject"], "properties": {"subject": {"type": "string"}}},
        {"required": ["externalSubject"], "properties": {"externalSubject": {"type": "string"}}},
    ],
}

_EVENT_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["object", "id", "type", "source", "namespace", "timestamp", "idempotencyKey"],
    "properties": {
        "object": {"const": "event"},
        "id": {"type": "string"},
        "type": {"type": "string"},
        "source": {"type": "string"},
        "subject": {"type": "string"},
        "externalSubject": {"type": "string"},
        "namespace": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
        "idempotencyKey": {"type": "string"},
        "externalId": {"type": "string"},
    },
}

_CLOUD_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "CloudEvents 1.0. `data` may be any JSON; `data` and `data_base64` exclude each other.",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": _TEXT,
        "source": _TEXT,
        "type": _TEXT,
        "subject": _optional(_TEXT),
        "time": _optional(_TIME),
        "datacontenttype": _optional(_TEXT),
        "dataschema": _optional(_TEXT),
        "data": {},
        "data_base64": _optional({"type": "string", "contentEncoding": "base64", "pattern": _BASE_64}),
        "namespace": _optional({**_TEXT, "description": "The caller's own merchant; any other is a 403."}),
        "externalsubject": _optional(_EXTERNAL),
        "externalid": _optional(_EXTERNAL),
        "receivedat": {"type": "null", "description": "Ours: senders leave it out."},
    },
    "patternProperties": {
        "^(?!(?:data|receivedat)$)[a-z0-9]+$": {
            "anyOf": [
                {"type": ["string", "boolean", "null"]},
                {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
            ]
        }
    },
    "additionalProperties": False,
    "anyOf": [
        {"required": ["subject"], "properties": {"subject": {"type": "string"}}},
        {"required": ["externalsubject"], "properties": {"externalsubject": {"type": "string"}}},
    ],
    "not": {"required": ["data", "data_base64"]},
}

_BATCH: Final[dict[str, Any]] = {"type": "array", "minItems": 1, "items": _ref("CloudEvent")}

_INGEST_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["object", "accepted", "position"],
    "properties": {
        "object": {"const": "ingest"},
        "accepted": {"type": "integer", "minimum": 1},
        "position": {"type": "string"},
    },
}

_SECURITY: Final[list[dict[str, list[str]]]] = [{"apiKey": []}]

OPENAPI: Final[dict[str, Any]] = {
    "paths": {
        "/v0/events": {
            "post": {
                "operationId": "ingestEvent",
                "summary": "Accept one event",
                "tags": ["ingest"],
                "security": _SECURITY,
                "requestBody": {"required": True, "content": {JSON: {"schema": _ref("EventRequest")}}},
                "responses": {"202": _accepted("EventAnswer"), **_REFUSALS},
            }
        },
        "/api/v1/events": {
            "post": {
                "operationId": "ingestCloudEvents",
                "summary": "Accept CloudEvents, all of a request or none",
                "description": "Structured, batched or plain JSON as described; or in binary mode: attributes"
                " as `ce-` headers, and as body data of any Content-Type.",
                "tags": ["ingest"],
                "security": _SECURITY,
                "requestBody": {
                    "required": True,
                    "content": {
                        STRUCTURED: {"schema": _ref("CloudEvent")},
                        BATCHED: {"schema": _BATCH},
                        JSON: {"schema": {"anyOf": [_ref("CloudEvent"), _BATCH]}},
                    },
                },
                "responses": {"202": _accepted("IngestAnswer"), **_REFUSALS},
            }
        },
    },
    "components": {
        "schemas": {
            "EventRequest": _EVENT_REQUEST,
            "EventAnswer": _EVENT_ANSWER,
            "CloudEvent": _CLOUD_EVENT,
            "IngestAnswer": _INGEST_ANSWER,
            "IngestError": _ERROR,
            "IngestValidationError": _VALIDATION_ERROR,
        },
        "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer"}},
    },
}
