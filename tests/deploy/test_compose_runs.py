"""The services of docker-compose.yml as processes: its commands and environment, our image's code.

Kafka, PostgreSQL, ClickHouse and nginx are those of the tests; only addresses and passwords are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

from tests.api import Api, cloud_event
from tests.deploy import gateway
from tests.deploy.compose import services
from tests.deploy.image import of_processes
from tests.deploy.started import started, total_of
from tests.deploy.tools import output_of
from tests.running import clean_environment, free_port
from tests.servers.postgres import PostgresServer


def _variables(service: str, here: Mapping[str, str]) -> dict[str, str]:
    """The environment of the service's container, with addresses and passwords as they are `here`."""
    said: dict[str, str] = services()[service]["environment"]
    known = {name: here[name] for name in here if name in said or name not in _ADDRESSES}
    return of_processes("services") | {"METERHOUSE_HOST": "127.0.0.1"} | said | known


_ADDRESSES = {
    "METERHOUSE_KAFKA",
    "METERHOUSE_CATALOG_URL",
    "METERHOUSE_CLICKHOUSE_URL",
    "METERHOUSE_CLICKHOUSE_USER",
    "METERHOUSE_CLICKHOUSE_PASSWORD",
}


def test_the_key_of_the_compose_file_counts_events_through_the_gateway(
    services_image: Path, kafka: str, postgres: PostgresServer, clickhouse_url: str, tmp_path: Path
) -> None:
    name = f"compose_{uuid4().hex[:12]}"
    catalog = postgres.new_database(migrated=False)
    here = {
        "METERHOUSE_KAFKA": kafka,
        "METERHOUSE_KAFKA_TOPIC": name,
        "METERHOUSE_KAFKA_GROUP": name,
        "METERHOUSE_CATALOG_URL": catalog,
        "METERHOUSE_CLICKHOUSE_URL": f"{clickhouse_url}/{name}",
        "METERHOUSE_CLICKHOUSE_USER": "",
        "METERHOUSE_CLICKHOUSE_PASSWORD": "",
    }
    path = {"PATH": f"{services_image / 'bin'}:/usr/bin:/bin"}
    setup = [*services()["setup"]["entrypoint"], *services()["setup"]["command"]]
    for _ in range(2):  # `docker compose up` runs it each time
        output_of(*setup, cwd=tmp_path, env=clean_environment(_variables("setup", here) | path))
    with ExitStack() as stack:
        urls = {}
        for service in ("ingest", "aggregator", "query"):
            port = free_port()
            env = _variables(service, here) | {"METERHOUSE_PORT": str(port)}
            arguments = services()[service]["command"]
            process = started(services_image, arguments, port=port, env=env, folder=tmp_path)
            urls[service] = stack.enter_context(process)
        addresses = {name: [urls[name].removeprefix("http://")] for name in ("ingest", "query")}
        (tmp_path / "gateway").mkdir()
        url = stack.enter_context(gateway.running(tmp_path / "gateway", **addresses))
        with Api(url, "mh_dev") as api:
            metric = api.create_metric("compose", "SUM", valueProperty="$.v")
            for _ in range(2):
                api.ingest(*[cloud_event("compose", f"e{n}", {"v": n}) for n in range(100)])
            assert total_of(api, metric["id"]) == sum(range(100))
        checking = clean_environment(_variables("query", here) | path)
        output_of(services_image / "bin" / "meterhouse", "check", cwd=tmp_path, env=checking)
    postgres.drop(catalog)
