"""The Helm chart as Helm renders it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.tools import ROOT, run, tool

CHART: Final = ROOT / "deploy" / "helm" / "meterhouse"
VALUES: Final = Path(__file__).parent / "values"
COMPONENTS: Final = ("ingest", "aggregator", "query")
OPERATORS: Final = (
    "keda.sh/v1alpha1/ScaledObject",
    "monitoring.coreos.com/v1/ServiceMonitor",
    "monitoring.coreos.com/v1/PrometheusRule",
)
KUBERNETES: Final = "1.37.0"

Manifest = dict[str, Any]


def template(
    *options: str, values: str = "", chart: Path = CHART, apis: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """`helm template` with a file of tests/deploy/values, in a cluster that knows `apis` beside its own."""
    files = ["--values", str(VALUES / f"{values}.yaml")] if values else []
    known = [part for api in apis for part in ("--api-versions", api)]
    command = [tool("helm"), "template", "usage", str(chart), "--namespace", "metering"]
    return run(*command, "--kube-version", KUBERNETES, *files, *known, *options)


@dataclass(frozen=True, slots=True)
class Rendered:
    """The manifests of one rendering."""

    manifests: Sequence[Manifest]

    @classmethod
    def of(cls, *options: str, values: str = "", chart: Path = CHART, apis: Sequence[str] = ()) -> Rendered:
        done = template(*options, values=values, chart=chart, apis=apis)
        assert done.returncode == 0, done.stderr
        return cls([one for one in yaml.safe_load_all(done.stdout) if one])

    def all(self, kind: str) -> list[Manifest]:
        return [one for one in self.manifests if one["kind"] == kind]

    def one(self, kind: str, name: str) -> Manifest:
        [found] = [one for one in self.all(kind) if one["metadata"]["name"] == f"usage-meterhouse{name}"]
        return found

    def pods(self) -> Iterator[tuple[str, Manifest]]:
        """The component and the template of each kind of pod."""
        for workload in [*self.all("Deployment"), *self.all("Job")]:
            pod: Manifest = workload["spec"]["template"]
            yield pod["metadata"]["labels"]["app.kubernetes.io/component"], pod

    def containers(self) -> Iterator[tuple[str, Manifest]]:
        for component, pod in self.pods():
            for container in [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]:
                yield component, container

    def environment(self, container: Manifest) -> dict[str, str | Mapping[str, Any]]:
        """Each variable with its text, or with the place that it comes from."""
        found: dict[str, str | Mapping[str, Any]] = {}
        for source in container["envFrom"]:
            name = source["configMapRef"]["name"]
            [settings] = [one for one in self.all("ConfigMap") if one["metadata"]["name"] == name]
            found |= settings["data"]
        for variable in container["env"]:
            found[variable["name"]] = variable["value"] if "value" in variable else variable["valueFrom"]
        return found


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector chooses what has these labels."""
    equal = all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())
    expressions = selector.get("matchExpressions", ())
    assert all(one["operator"] == "In" for one in expressions)
    return equal and all(labels.get(one["key"]) in one["values"] for one in expressions)
