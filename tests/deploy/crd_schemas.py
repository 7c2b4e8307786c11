"""Writes JSON schemas of the operators' kinds that the chart makes: `python crd_schemas.py FOLDER`.

Run with packages that carry those kinds as pydantic models; an unknown field is refused, as by a strict API
server.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

_KINDS: Final = {
    "cloudcoil.models.keda.v1alpha1": ("ScaledObject", "TriggerAuthentication"),
    "cloudcoil.models.prometheus_operator.v1": ("PrometheusRule", "ServiceMonitor"),
}
_GROUPS: Final = {
    "cloudcoil.models.keda.v1alpha1": "keda.sh-v1alpha1",
    "cloudcoil.models.prometheus_operator.v1": "monitoring.coreos.com-v1",
}


def strict(schema: Any) -> Any:
    """The schema with every object closed that names its properties."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: strict(one) for name, one in schema.items()}
    return {"additionalProperties": False, **closed} if isinstance(closed.get("properties"), dict) else closed


def main(folder: Path) -> None:
    for module, kinds in _KINDS.items():
        for kind in kinds:
            schema = getattr(import_module(module), kind).model_json_schema(by_alias=True)
            path = folder / f"{kind.lower()}-{_GROUPS[module]}.json"
            path.write_text(json.dumps(strict(schema)), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
