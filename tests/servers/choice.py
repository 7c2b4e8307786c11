"""Where a test's server comes from: an address that is given, else Docker, else this machine itself."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final
from urllib.parse import urlsplit

from testcontainers.community.clickhouse import ClickHouseContainer
from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.docker_client import get_docker_host

_ENGINE_SECONDS: Final = 1.0
_SOCKET: Final = "unix:///var/run/docker.sock"

Server = Callable[[], AbstractContextManager[str]]


@contextmanager
def chosen_server(
    variable: str, *, container: Server, local: Server, engine: Callable[[], bool] | None = None
) -> Iterator[str]:
    """The address that the environment names as `variable`, else of a container where a Docker engine
    answers, else of a server that is started here, which skips the test where it cannot be.
    """
    given = os.environ.get(variable)
    if given:
        yield given
        return
    start = container if (engine or engine_answers)() else local
    with start() as address:
        yield address


def engine_answers() -> bool:
    """Whether a Docker engine answers, and soon. One behind TLS or SSH counts as none."""
    place = urlsplit(get_docker_host() or _SOCKET)
    local = place.scheme == "unix"
    with socket.socket(socket.AF_UNIX if local else socket.AF_INET) as engine:
        engine.settimeout(_ENGINE_SECONDS)
        try:
            engine.connect(place.path if local else (place.hostname, place.port))
            engine.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in engine.recv(20)
        except (OSError, TypeError):  # or an address that is none
            return False


@contextmanager
def kafka_container() -> Iterator[str]:
    """The bootstrap servers of a broker, set up as the local one is (deploy/local/kafka.py)."""
    container = KafkaContainer("confluentinc/cp-kafka:7.9.1").with_kraft()
    container.with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    container.with_env("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "1000")
    with container:
        yield container.get_bootstrap_server()


@contextmanager
def postgres_container() -> Iterator[str]:
    """The URL of an account that may create databases."""
    with PostgresContainer("postgres:18", driver=None) as container:
        yield container.get_connection_url()


@contextmanager
def clickhouse_container() -> Iterator[str]:
    """The URL of its HTTP interface, user and password in it."""
    with ClickHouseContainer("clickhouse/clickhouse-server:26.9") as container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(8123)
        yield f"http://{container.username}:{container.password}@{host}:{port}"
