"""What the chart renders is what Kubernetes, KEDA and the Prometheus operator take: kubeconform says so.

The schemas come in packages: of Kubernetes in kubernetes-validate, of the operators' kinds as models.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.chart import KUBERNETES, OPERATORS, VALUES, template
from tests.deploy.tools import output_of, run, tool

_MODELS: Final = ("cloudcoil-models-keda==2.16.1.0", "cloudcoil-models-prometheus-operator==0.80.1.0")
_WRITER: Final = Path(__file__).with_name("crd_schemas.py")
_OLDEST: Final = "1.30.0"
_OF_KUBERNETES: Final = (
    "configmap-v1.json",
    "deployment-apps-v1.json",
    "horizontalpodautoscaler-autoscaling-v2.json",
    "ingress-networking-v1.json",
    "job-batch-v1.json",
    "networkpolicy-networking-v1.json",
    "poddisruptionbudget-policy-v1.json",
    "service-v1.json",
    "serviceaccount-v1.json",
)


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a schema for each kind, and one inside it for each version of Kubernetes."""
    folder = tmp_path_factory.mktemp("schemas")
    packages = [part for one in _MODELS for part in ("--with", one)]
    output_of(
        tool("uv"), "run", "--no-project", "--isolated", *packages, "python", _WRITER, folder, cwd=folder
    )
    spec = find_spec("kubernetes_validate")
    assert spec is not None
    assert spec.origin is not None
    for version in (KUBERNETES, _OLDEST):
        source = Path(spec.origin).parent / "kubernetes-json-schema" / f"v{version}-local-strict"
        (folder / f"v{version}").mkdir()
        for name in ("_definitions.json", *_OF_KUBERNETES):
            schema = json.loads((source / name).read_text("utf-8"))
            del schema["$id"]  # an address where nobody shall look
            text = json.dumps(schema).replace('"/api/_definitions.json', '"_definitions.json')
            (folder / f"v{version}" / name).write_text(text, "utf-8")
    return folder


def _kubeconform(manifests: Path, schemas: Path, version: str) -> str:
    places = (
        f"{schemas}/{{{{.NormalizedKubernetesVersion}}}}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json",
        f"{schemas}/{{{{.ResourceKind}}}}-{{{{.Group}}}}-{{{{.ResourceAPIVersion}}}}.json",
    )
    options = [part for place in places for part in ("-schema-location", place)]
    program = tool("kubeconform")
    done = run(program, "-strict", "-summary", "-kubernetes-version", version, *options, manifests)
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("version", [KUBERNETES, _OLDEST])
@pytest.mark.parametrize("values", ["", *sorted(path.stem for path in VALUES.glob("*.yaml"))])
def test_every_manifest_is_what_kubernetes_takes(
    values: str, version: str, schemas: Path, tmp_path: Path
) -> None:
    manifests = tmp_path / "manifests.yaml"
    manifests.write_text(template(values=values, apis=OPERATORS).stdout)
    said = _kubeconform(manifests, schemas, version)
    assert said.startswith("0\n"), said
    assert "Invalid: 0, Errors: 0, Skipped: 0" in said


def test_a_field_that_nobody_knows_would_be_found(schemas: Path, tmp_path: Path) -> None:
    manifests = tmp_path / "manifests.yaml"
    for field, wrong in (("minReplicaCount:", "minReplicaNumber:"), ("maxUnavailable:", "mostUnavailable:")):
        manifests.write_text(template(values="everything").stdout.replace(field, wrong))
        assert not _kubeconform(manifests, schemas, KUBERNETES).startswith("0\n"), wrong
