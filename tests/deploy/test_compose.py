"""docker-compose.yml: what it says is what meterhouse, its stores and its guarantees need."""

from __future__ import annotations

import re
from importlib.metadata import version
from xml.etree import ElementTree

import clickhouse_connect
import pytest
import yaml

from deploy.local.kafka import VERSION as KAFKA_VERSION
from meterhouse.adapters.clickhouse.blocks import INSERT_TIME_LIMIT
from meterhouse.settings import ClickHouseSettings, IngestSettings, KafkaSettings
from tests.deploy.compose import OURS, services
from tests.deploy.known import commands_of_script, known_variables, parse
from tests.deploy.tools import ROOT

_PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
_USERS = ElementTree.parse(ROOT / "deploy" / "clickhouse" / "grafana.xml").getroot()


def test_every_part_is_there() -> None:
    stores = {"kafka", "clickhouse", "postgres"}
    assert services().keys() == {*OURS, *stores, "gateway", "prometheus", "grafana"}


def test_no_setting_is_misspelt() -> None:
    said = {name for one in OURS for name in services()[one].get("environment", {})}
    assert "METERHOUSE_KAFKA" in said
    assert said - known_variables() == set()


@pytest.mark.parametrize("service", ["ingest", "aggregator", "query"])
def test_each_service_runs_its_command(service: str) -> None:
    assert parse(services()[service]["command"]) == service


def test_setup_runs_commands_that_exist() -> None:
    setup = services()["setup"]
    assert setup["entrypoint"] == ["/bin/sh", "-euc"]
    [script] = setup["command"]
    assert commands_of_script(script) == ["migrate", "topics create", "provision"]


def test_only_the_loopback_can_reach_a_port() -> None:
    published = [str(port) for one in services().values() for port in one.get("ports", ())]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_what_runs_is_the_version_that_the_tests_run() -> None:
    images = {name: one["image"] for name, one in services().items()}
    assert images["kafka"] == f"apache/kafka:{KAFKA_VERSION}"
    engine = ".".join(version("chdb-core").split(".")[:2])
    assert images["clickhouse"] == f"clickhouse/clickhouse-server:{engine}"
    assert images["postgres"].startswith("postgres:18.")
    floating = [
        one for name, one in images.items() if name not in OURS and not re.search(r":v?\d+\.\d+", one)
    ]
    assert floating == []


def test_a_deleted_topic_is_not_made_anew_by_whoever_asks_for_it() -> None:
    assert services()["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_every_service_waits_for_what_it_needs() -> None:
    def waits(service: str) -> dict[str, str]:
        return {name: one["condition"] for name, one in services()[service]["depends_on"].items()}

    assert waits("setup") == dict.fromkeys(("kafka", "clickhouse", "postgres"), "service_healthy")
    for service in ("ingest", "aggregator", "query"):
        assert waits(service) == {"setup": "service_completed_successfully"}
    for service, needed in {name: one.get("depends_on", {}) for name, one in services().items()}.items():
        unchecked = [
            other
            for other, one in needed.items()
            if one["condition"] == "service_healthy" and "test" not in services()[other]["healthcheck"]
        ]
        assert unchecked == [], service


def test_everything_is_bounded_and_comes_back() -> None:
    assert [name for name, one in services().items() if not one.get("mem_limit")] == []
    assert {name: one["restart"] for name, one in services().items()} == {
        **dict.fromkeys(services(), "unless-stopped"),
        "setup": "on-failure",
    }


def test_what_must_survive_lies_in_volumes_with_names() -> None:
    kept = {
        "kafka": "/var/lib/kafka/data",
        "clickhouse": "/var/lib/clickhouse",
        "postgres": "/var/lib/postgresql",
    }
    for service, folder in kept.items():
        sources = {str(one).split(":")[1]: str(one).split(":")[0] for one in services()[service]["volumes"]}
        assert sources[folder] == service
    assert services()["kafka"]["environment"]["KAFKA_LOG_DIRS"] == kept["kafka"]


@pytest.mark.parametrize("service", [*OURS, "gateway"])
def test_what_strangers_reach_can_change_nothing(service: str) -> None:
    one = services()[service]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]


def test_an_aggregator_may_finish_the_insert_that_it_is_in() -> None:
    period = services()["aggregator"]["stop_grace_period"]
    seconds = sum(int(n) * {"m": 60, "s": 1}[unit] for n, unit in re.findall(r"(\d+)([ms])", period))
    assert seconds > INSERT_TIME_LIMIT.total_seconds()
    assert seconds > ClickHouseSettings().timeout.total_seconds()


def test_ingest_has_room_for_all_that_may_wait() -> None:
    assert str(services()["ingest"]["mem_limit"]) in ("1g", str(1 << 30))
    waiting = KafkaSettings().max_waiting_bytes + IngestSettings().max_waiting_bytes
    assert 2 * waiting <= 1 << 30


def test_grafana_reads_the_tables_with_the_password_that_clickhouse_knows() -> None:
    grafana, clickhouse = services()["grafana"]["environment"], services()["clickhouse"]["environment"]
    assert grafana["GRAFANA_CLICKHOUSE_USER"] in {user.tag for user in _USERS.iterfind("users/*")}
    assert grafana["GRAFANA_CLICKHOUSE_PASSWORD"] == clickhouse["GRAFANA_CLICKHOUSE_PASSWORD"]
    password = _USERS.find("users/grafana/password")
    assert password is not None
    assert password.get("from_env") == "GRAFANA_CLICKHOUSE_PASSWORD"
    ours = services()["query"]["environment"]
    assert ours["METERHOUSE_CLICKHOUSE_USER"] == clickhouse["CLICKHOUSE_USER"]
    assert ours["METERHOUSE_CLICKHOUSE_PASSWORD"] == clickhouse["CLICKHOUSE_PASSWORD"]
    database = ours["METERHOUSE_CLICKHOUSE_URL"].rpartition("/")[2]
    assert _USERS.findtext("users/grafana/default_database") == database
    assert [one.text for one in _USERS.iterfind("users/grafana/grants/query")] == [
        f"GRANT SELECT ON {database}.*"
    ]


def test_grafana_may_set_what_its_data_source_sends_but_write_nothing(clickhouse_url: str) -> None:
    assert _USERS.findtext("users/grafana/profile") == "grafana"
    assert _USERS.findtext("profiles/grafana/readonly") == "2"
    limits = {
        one.tag: one.text for one in _USERS.iterfind("profiles/grafana/*") if one.text and one.text.strip()
    }
    bounds = {one.tag: one.findtext("max") for one in _USERS.iterfind("profiles/grafana/constraints/*")}
    bounded = {name: value for name, value in limits.items() if name != "readonly"}
    assert bounds == bounded | {"max_execution_time": "120"}
    with clickhouse_connect.get_client(dsn=clickhouse_url) as client:
        known = client.query(
            "SELECT name FROM system.settings WHERE name IN {names:Array(String)}", {"names": list(limits)}
        )
    assert {name for (name,) in known.result_rows} == limits.keys()
    provisioned = yaml.safe_load((_PROVISIONING / "datasources" / "meterhouse.yaml").read_text("utf-8"))
    [source] = [one for one in provisioned["datasources"] if one["type"] == "grafana-clickhouse-datasource"]
    for variable in re.findall(r"\$(\w+)", str(source)):
        assert variable in services()["grafana"]["environment"]
    assert source["jsonData"]["defaultDatabase"] == _USERS.findtext("users/grafana/default_database")
    asked = int(source["jsonData"]["queryTimeout"]) + 5  # what clickhouse-go makes of a deadline
    assert asked <= int(bounds["max_execution_time"] or 0)


def test_prometheus_and_grafana_find_what_is_provisioned() -> None:
    def mounted(service: str) -> dict[str, str]:
        parts = [str(one).split(":") for one in services()[service]["volumes"]]
        return {part[1]: part[0] for part in parts if part[0].startswith("/")}

    assert mounted("prometheus") == {"/etc/prometheus": str(ROOT / "deploy" / "prometheus")}
    assert mounted("grafana") == {
        "/etc/grafana/provisioning": str(ROOT / "deploy" / "grafana" / "provisioning"),
        "/var/lib/grafana/dashboards": str(ROOT / "deploy" / "grafana" / "dashboards"),
    }
