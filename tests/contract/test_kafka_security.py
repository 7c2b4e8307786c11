"""TLS and SASL against a broker that insists on them."""

from __future__ import annotations

import asyncio
import selectors
import subprocess
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deploy.local.machine import free_ports
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.kafka.assignment import GroupAssignment, Membership
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.adapters.kafka.topics import TopicPlan, create
from meterhouse.domain.errors import LogUnavailable
from meterhouse.ports.log import Entry
from tests.logged import PATIENCE
from tests.servers.kafka import PATIENT, running_cluster

T = TypeVar("T")

# Two more listeners beside the plain one: TLS with a login, and TLS that asks for the client's certificate.
_PROPERTIES = """
listeners=PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller_port}},\
LOGIN://127.0.0.1:{login},MUTUAL://127.0.0.1:{mutual}
advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},LOGIN://127.0.0.1:{login},MUTUAL://127.0.0.1:{mutual}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,LOGIN:SASL_SSL,MUTUAL:SSL
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={certificate}
listener.name.mutual.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN
listener.name.login.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_meter="hunter2";
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def ports(
    certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, int]]:
    """The ports of the two listeners."""
    folder = tmp_path_factory.mktemp("kafka-secure")
    keystore = folder / "keystore.pem"
    keystore.write_text(certificate[1].read_text() + certificate[0].read_text())
    login, mutual = free_ports(2)
    properties = _PROPERTIES.format(login=login, mutual=mutual, keystore=keystore, certificate=certificate[0])
    with running_cluster(folder, properties=properties):
        yield login, mutual


@pytest.fixture
def login(ports: tuple[int, int], certificate: tuple[Path, Path]) -> KafkaServers:
    return KafkaServers(
        bootstrap=f"127.0.0.1:{ports[0]}",
        security_protocol="SASL_SSL",
        sasl_username="meter",
        sasl_password="hunter2",
        ssl_cafile=certificate[0],
    )


@pytest.fixture
def mutual(ports: tuple[int, int], certificate: tuple[Path, Path]) -> KafkaServers:
    return KafkaServers(
        bootstrap=f"127.0.0.1:{ports[1]}",
        security_protocol="SSL",
        ssl_cafile=certificate[0],
        ssl_certfile=certificate[0],
        ssl_keyfile=certificate[1],
    )


async def roundtrip(servers: KafkaServers, topic: str) -> list[bytes]:
    """Make the topic, append to it, join a group for it and read it."""
    await create(servers, topic, TopicPlan(partitions=1, replicas=1, min_insync=1))
    assigned = asyncio.Event()

    async def gained(_: frozenset[int]) -> None:
        assigned.set()

    membership = Membership(topic=topic, group=topic, session_timeout=PATIENT.delivery_timeout)
    async with (
        KafkaLog.open(servers, topic, SystemClock(), PATIENT) as log,
        GroupAssignment.open(servers, membership, gained=gained, lost=gained),
    ):
        await log.append([Entry(b"key", b"secret", 0)])
        await assigned.wait()
        return [record.value for record in await log.read(0, 0, 10)]


async def opened(servers: KafkaServers) -> None:
    async with KafkaLog.open(servers, "any", SystemClock(), PATIENT):
        pytest.fail("it was opened")


def run(work: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run, but its loop goes on until the broker has ended each connection that we have ended.

    TLS is ended by both sides, and aiokafka does not wait for that where it did not get as far as a login.
    """
    selector = selectors.DefaultSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.get_loop()
        unconnected = len(selector.get_map())
        try:
            return runner.run(work)
        finally:
            deadline = time.monotonic() + PATIENCE
            while len(selector.get_map()) > unconnected:
                assert time.monotonic() < deadline, "a connection does not end"
                runner.run(asyncio.sleep(0.01))


def test_a_login_over_tls_is_enough(login: KafkaServers) -> None:
    assert run(roundtrip(login, "login")) == [b"secret"]


def test_a_certificate_of_our_own_is_enough(mutual: KafkaServers) -> None:
    assert run(roundtrip(mutual, "mutual")) == [b"secret"]


def test_a_wrong_password_is_refused_and_not_shown(login: KafkaServers) -> None:
    with pytest.raises(LogUnavailable) as refusal:
        run(opened(replace(login, sasl_password="hunter3")))
    assert "does not answer" in str(refusal.value)
    assert "hunter" not in str(refusal.value)


def test_a_broker_with_an_unknown_certificate_is_not_trusted(login: KafkaServers) -> None:
    with pytest.raises(LogUnavailable, match="does not answer"):
        run(opened(replace(login, ssl_cafile=None)))


def test_a_client_without_a_certificate_is_refused(mutual: KafkaServers) -> None:
    with pytest.raises(LogUnavailable):
        run(opened(replace(mutual, ssl_certfile=None, ssl_keyfile=None)))
