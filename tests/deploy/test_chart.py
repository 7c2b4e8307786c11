"""The Helm chart: what it makes of its values, and what it refuses."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from ingest.routes import PATHS
from meterhouse import settings
from meterhouse.adapters.clickhouse.blocks import INSERT_TIME_LIMIT
from meterhouse.settings import ClickHouseSettings
from query.routes import ROUTERS
from tests.deploy.chart import CHART, COMPONENTS, OPERATORS, VALUES, Rendered, matches, template
from tests.deploy.image import chain
from tests.deploy.known import known_variables, parse
from tests.deploy.tools import ROOT, output_of, tool

_ALL = ["", *sorted(path.stem for path in VALUES.glob("*.yaml"))]


@pytest.fixture(scope="module", params=_ALL, ids=lambda name: name or "defaults")
def rendered(request: pytest.FixtureRequest) -> Rendered:
    return Rendered.of(values=request.param)


def test_helm_finds_nothing_to_complain_about() -> None:
    for values in _ALL:
        files = ["--values", str(VALUES / f"{values}.yaml")] if values else []
        output_of(tool("helm"), "lint", "--strict", str(CHART), *files)


def test_every_pod_runs_without_rights(rendered: Rendered) -> None:
    user = {one.word: one.rest for one in chain("services")}["USER"]
    for component, pod in rendered.pods():
        spec = pod["spec"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, component
        assert f"{security['runAsUser']}:{security['runAsGroup']}" == user
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        # With links, a Service named meterhouse would set METERHOUSE_PORT.
        assert spec["enableServiceLinks"] is False
    for _, container in rendered.containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


def _secret_variables() -> set[str]:
    found = set()
    for kind in vars(settings).values():
        if isinstance(kind, type) and issubclass(kind, BaseSettings):
            for name, field in kind.model_fields.items():
                if "SecretStr" in str(field.annotation):
                    found.add(f"{kind.model_config.get('env_prefix', '')}{name}".upper())
    return found


def test_secrets_are_only_referred_to(rendered: Rendered) -> None:
    secret = _secret_variables() - {"METERHOUSE_CLICKHOUSE_URL"}  # which may hold none: see below
    assert {"METERHOUSE_CATALOG_URL", "METERHOUSE_KAFKA_SASL_PASSWORD"} <= secret
    assert rendered.all("Secret") == []
    for component, container in rendered.containers():
        variables = rendered.environment(container)
        assert "METERHOUSE_CATALOG_URL" in variables, component
        inline = {name for name, value in variables.items() if isinstance(value, str)}
        assert inline & secret == set()
        for value in variables.values():
            assert isinstance(value, str) or value.keys() == {"secretKeyRef"}


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("clickhouse.url=http://user:secret@clickhouse:8123", "clickhouse/url"),
        ("settings.METERHOUSE_CLICKHOUSE_PASSWORD=secret", "METERHOUSE_CLICKHOUSE_PASSWORD"),
        ("ingest.settings.METERHOUSE_CATALOG_URL=postgresql://u:secret@p/d", "METERHOUSE_CATALOG_URL"),
        ("settings.OTEL_EXPORTER_OTLP_HEADERS=secret", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("aggregator.terminationGracePeriodSeconds=60", "aggregator/terminationGracePeriodSeconds"),
        ("ingest.replica=3", "replica"),
        ("kafka.bootstrap=kafka", "kafka/bootstrap"),
        ("catalog.secretName=", "catalog/secretName"),
        ("kafka.securityProtocol=SASL_SSL", "kafka.sasl.secretName"),
        ("setup.topics.replicas=1", "minInsync"),
        ("setup.topics.retentionDays=1", "setup/topics/retentionDays"),
    ],
)
def test_what_cannot_be_well_is_refused(option: str, complaint: str) -> None:
    refused = template("--set", option)
    assert refused.returncode != 0
    assert complaint in refused.stderr


def test_no_setting_is_misspelt(rendered: Rendered) -> None:
    for component, container in rendered.containers():
        variables = {name for name in rendered.environment(container) if name.startswith("METERHOUSE_")}
        assert {"METERHOUSE_KAFKA", "METERHOUSE_CLICKHOUSE_URL"} <= variables, component
        assert variables - known_variables() == set()


@pytest.mark.parametrize("values", ["", "everything"])
def test_every_setting_has_a_value_that_it_takes(values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Rendered.of(values=values)
    for _, container in made.containers():
        with monkeypatch.context() as patched:
            for name, value in made.environment(container).items():
                patched.setenv(name, value if isinstance(value, str) else "a-secret")
            for kind in vars(settings).values():
                if isinstance(kind, type) and issubclass(kind, BaseSettings) and kind is not BaseSettings:
                    kind()
            assert ClickHouseSettings().password == SecretStr("a-secret") or container["name"] == "ingest"


def test_every_container_runs_a_command_that_exists(rendered: Rendered) -> None:
    commands = [(component, parse(container["args"])) for component, container in rendered.containers()]
    setup = [("setup", "topics create"), ("setup", "migrate")]
    assert commands == [(one, one) for one in COMPONENTS] + setup
    assert not any("command" in container for _, container in rendered.containers())  # it is the image's


def test_selectors_choose_the_pods_that_they_mean(rendered: Rendered) -> None:
    labels = {component: pod["metadata"]["labels"] for component, pod in rendered.pods()}

    def chosen(selector: Mapping[str, Any]) -> list[str]:
        return [component for component, own in labels.items() if matches(selector, own)]

    for component in COMPONENTS:
        name = f"-{component}"
        assert chosen(rendered.one("Deployment", name)["spec"]["selector"]) == [component]
        assert chosen({"matchLabels": rendered.one("Service", name)["spec"]["selector"]}) == [component]
        assert chosen(rendered.one("PodDisruptionBudget", name)["spec"]["selector"]) == [component]
        spread = rendered.one("Deployment", name)["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [chosen(one["labelSelector"]) for one in spread] == [[component], [component]]
    for policy in rendered.all("NetworkPolicy"):
        [component] = chosen(policy["spec"]["podSelector"])
        assert policy["metadata"]["name"].endswith(f"-{component}")
    for monitor in rendered.all("ServiceMonitor"):
        services = [one["metadata"]["labels"] for one in rendered.all("Service")]
        assert [matches(monitor["spec"]["selector"], own) for own in services] == [True, True, True]


def test_ports_and_probes_name_what_the_pod_has(rendered: Rendered) -> None:
    for component in COMPONENTS:
        [container] = rendered.one("Deployment", f"-{component}")["spec"]["template"]["spec"]["containers"]
        [port] = container["ports"]
        variables = rendered.environment(container)
        assert str(port["containerPort"]) == variables["METERHOUSE_PORT"]
        assert variables["METERHOUSE_HOST"] == "0.0.0.0"
        [served] = rendered.one("Service", f"-{component}")["spec"]["ports"]
        assert served["targetPort"] == port["name"]
        asked = {
            probe: container[probe]["httpGet"]
            for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        }
        assert {one["port"] for one in asked.values()} == {port["name"]}
        assert asked["livenessProbe"]["path"] == "/healthz"  # what others do is no reason to be killed
        ready = asked["readinessProbe"]["path"]
        assert ready == ("/healthz" if component == "ingest" else "/readyz")


def test_what_is_scaled_has_no_number_of_its_own() -> None:
    plain, scaled = Rendered.of(), Rendered.of(values="everything")
    for component in COMPONENTS:
        assert plain.one("Deployment", f"-{component}")["spec"]["replicas"] == 2
        assert "replicas" not in scaled.one("Deployment", f"-{component}")["spec"]
    scalers = [*scaled.all("HorizontalPodAutoscaler"), *scaled.all("ScaledObject")]
    targets = {one["spec"]["scaleTargetRef"]["name"] for one in scalers}
    assert targets == {one["metadata"]["name"] for one in scaled.all("Deployment")}
    assert plain.all("HorizontalPodAutoscaler") == []


def test_aggregators_are_scaled_by_the_lag_of_their_own_group() -> None:
    for values in ("everything", "secured"):
        made = Rendered.of(values=values)
        [trigger] = made.one("ScaledObject", "-aggregator")["spec"]["triggers"]
        [container] = made.one("Deployment", "-aggregator")["spec"]["template"]["spec"]["containers"]
        variables = made.environment(container)
        assert trigger["metadata"]["bootstrapServers"] == variables["METERHOUSE_KAFKA"]
        assert trigger["metadata"]["consumerGroup"] == variables["METERHOUSE_KAFKA_GROUP"]
        assert trigger["metadata"]["topic"] == variables["METERHOUSE_KAFKA_TOPIC"]
    assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == ("scram_sha256", "enable")
    login = {
        one["parameter"]: (one["name"], one["key"])
        for one in made.one("TriggerAuthentication", "-aggregator")["spec"]["secretTargetRef"]
    }
    assert login == {
        "username": ("kafka-login", "user"),
        "password": ("kafka-login", "pass"),
        "ca": ("kafka-ca", "authority.pem"),
        "cert": ("kafka-cert", "tls.crt"),
        "key": ("kafka-cert", "tls.key"),
    }
    assert trigger["authenticationRef"]["name"] == "usage-meterhouse-aggregator"


def test_what_an_operator_is_needed_for_is_made_where_it_is() -> None:
    kinds = {"ScaledObject", "ServiceMonitor"}
    assert {one["kind"] for one in Rendered.of().manifests} & kinds == set()
    assert {one["kind"] for one in Rendered.of(apis=OPERATORS).manifests} >= kinds
    never = ("--set", "aggregator.keda.enabled=false,monitoring.serviceMonitor.enabled=false")
    assert {one["kind"] for one in Rendered.of(*never, apis=OPERATORS).manifests} & kinds == set()


def test_alerts_pass_as_they_are_written(tmp_path: Path) -> None:
    alert = {
        "alert": "Behind",
        "expr": 'meterhouse_lag{job="aggregator"} > 5',
        "annotations": {"summary": "{{ $labels.instance }} is {{ $value }} behind"},
    }
    chart = shutil.copytree(CHART, tmp_path / "meterhouse", ignore=shutil.ignore_patterns("rules"))
    (chart / "rules").mkdir()
    (chart / "rules" / "alerts.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [alert]}]}))
    made = Rendered.of(chart=chart, apis=OPERATORS).one("PrometheusRule", "")
    assert made["spec"] == {"groups": [{"name": "g", "rules": [alert]}]}
    assert Rendered.of(chart=chart).all("PrometheusRule") == []


def test_the_alerts_are_those_of_the_compose_file() -> None:
    alerts = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text("utf-8"))
    assert Rendered.of(apis=OPERATORS).one("PrometheusRule", "")["spec"] == alerts


def test_alerts_know_the_services_by_the_names_that_prometheus_gives_them() -> None:
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text("utf-8"))
    jobs = {one["job_name"] for one in scraped["scrape_configs"]}
    assert jobs == set(COMPONENTS)
    [endpoint] = Rendered.of(values="everything").one("ServiceMonitor", "")["spec"]["endpoints"]
    [relabeling] = [one for one in endpoint["relabelings"] if one["targetLabel"] == "job"]
    assert relabeling["sourceLabels"] == ["__meta_kubernetes_service_label_app_kubernetes_io_component"]


def test_an_aggregator_may_finish_the_insert_that_it_is_in(rendered: Rendered) -> None:
    spec = rendered.one("Deployment", "-aggregator")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > INSERT_TIME_LIMIT.total_seconds()
    assert spec["terminationGracePeriodSeconds"] > ClickHouseSettings().timeout.total_seconds()


def test_tables_and_topics_are_there_before_anything_that_needs_them(rendered: Rendered) -> None:
    job, plain = rendered.one("Job", "-setup"), rendered.one("ConfigMap", "")
    [settings] = [
        one for one in rendered.all("ConfigMap") if one["metadata"]["name"] == job["metadata"]["name"]
    ]
    for one in (job, settings):
        assert one["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    weights = [int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in (settings, job)]
    assert weights == sorted(set(weights))
    # What is no hook is not there yet when the Job runs.
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]
    for component, container in rendered.containers():
        [source] = container["envFrom"]
        of_setup = source["configMapRef"]["name"] == settings["metadata"]["name"]
        assert of_setup == (component == "setup")
    assert settings["data"] == plain["data"]


def test_a_setting_that_changes_replaces_the_pods() -> None:
    def sums(*options: str) -> set[str]:
        made = Rendered.of(*options)
        return {
            one["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
            for one in made.all("Deployment")
        }

    assert sums() == sums()
    assert sums() & sums("--set", "settings.METERHOUSE_KAFKA_COMPRESSION=zstd") == set()


def test_only_those_who_ask_clickhouse_know_its_password(rendered: Rendered) -> None:
    knows = {
        component
        for component, container in rendered.containers()
        if "METERHOUSE_CLICKHOUSE_PASSWORD" in rendered.environment(container)
    }
    assert knows == {"aggregator", "query", "setup"}


def test_every_file_that_a_setting_names_is_mounted() -> None:
    made = Rendered.of(values="secured")
    for component, pod in made.pods():
        volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
        for container in [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]:
            files = {
                f"{mount['mountPath']}/{item['path']}"
                for mount in container["volumeMounts"]
                for item in volumes[mount["name"]].get("secret", {}).get("items", ())
            }
            texts = [value for value in made.environment(container).values() if isinstance(value, str)]
            named = {file for text in texts for file in re.findall(r"/etc/meterhouse/\S+", text)}
            if component == "ingest":  # which never opens ClickHouse
                named -= {"/etc/meterhouse/clickhouse-ca/ca.crt"}
            assert named, component
            assert named <= files
            assert "/etc/meterhouse/catalog-ca/ca.crt" in files


def test_an_ingress_sends_each_path_to_its_service() -> None:
    [rule] = Rendered.of(values="everything").one("Ingress", "")["spec"]["rules"]
    paths = [
        (one["path"], one["pathType"], one["backend"]["service"]["name"]) for one in rule["http"]["paths"]
    ]
    exact = {path for path, kind, service in paths if kind == "Exact" and service.endswith("-ingest")}
    assert exact == PATHS
    prefixes = [path for path, kind, service in paths if kind == "Prefix" and service.endswith("-query")]
    routes = [route.path for router in ROUTERS for route in router.routes]  # type: ignore[attr-defined]
    assert routes
    for route in [*routes, "/docs", "/openapi.json"]:
        assert any(route == prefix or route.startswith(f"{prefix}/") for prefix in prefixes), route
    for inner in ("/metrics", "/healthz", "/readyz"):
        assert not any(inner.startswith(prefix) for prefix in prefixes)


def test_network_policies_let_through_what_is_needed_and_no_more() -> None:
    made = Rendered.of(values="secured")
    reached = {}
    for policy in made.all("NetworkPolicy"):
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert policy["spec"]["ingress"] == []  # nobody is named in these values
        component = policy["metadata"]["labels"]["app.kubernetes.io/component"]
        reached[component] = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    stores = {53, 9093, 5432}
    assert reached == {"ingest": stores} | dict.fromkeys(("aggregator", "query", "setup"), stores | {8443})
    let_in = {
        policy["metadata"]["labels"]["app.kubernetes.io/component"]: len(policy["spec"]["ingress"][0]["from"])
        for policy in Rendered.of(values="everything").all("NetworkPolicy")
        if policy["spec"]["ingress"]
    }
    assert let_in == {"ingest": 2, "aggregator": 1, "query": 2}
