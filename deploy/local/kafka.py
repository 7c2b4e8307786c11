"""A real Kafka without Docker: jars from Maven Central in a cache folder, brokers as processes of their own.

Tests start theirs with it (tests/servers/kafka.py), and so can any tool that runs meterhouse on one machine.
Nothing here touches a process that it did not start.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.machine import free_ports, halt, listens

VERSION: Final = "4.1.1"
_LOG4J: Final = "2.24.3"  # the one that this Kafka brings
CACHE: Final = Path(__file__).parents[2] / ".cache" / "kafka"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0

# Kafka brings log4j and names no way to it; with one, its errors are printed.
_POM: Final = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>meterhouse.local</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>{_LOG4J}</version>
    </dependency>
  </dependencies>
</project>
"""

# One properties file a node, which is broker and controller at once. The replication factors are those of
# Kafka's own topics. Producers and groups are answered at once: nobody here waits for stragglers.
_PROPERTIES: Final = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
log.retention.check.interval.ms=1000
file.delete.delay.ms=1000
"""


class KafkaNotStarted(Exception):
    """Kafka cannot run on this machine, or did not come up; the message says why."""


def fetch_jars(cache: Path = CACHE) -> Path:
    """The folder of Kafka's jars, 43 MB, fetched with Maven the first time. Raises KafkaNotStarted."""
    libs = cache / VERSION / "jars"
    if libs.is_dir():
        return libs
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise KafkaNotStarted(f"`{program}` is not installed")
    libs.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        (Path(folder) / "pom.xml").write_text(_POM)
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise KafkaNotStarted(
                f"Maven could not fetch Kafka {VERSION}: {(done.stdout + done.stderr)[-500:]}"
            )
        try:
            (Path(folder) / "jars").rename(libs)  # whole or not at all, also when two fetch at once
        except OSError:
            if not libs.is_dir():
                raise
    return libs


@dataclass(slots=True)
class Broker:
    """One node of the cluster, and the process that runs it now, if any."""

    node: int
    port: int
    folder: Path
    libs: Path
    heap: str = "512m"
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def data(self) -> Path:
        """Where a folder for each partition is."""
        return self.folder / "data"

    @property
    def output(self) -> Path:
        return self.folder / "kafka.log"

    @property
    def command(self) -> list[str]:
        """What runs the node, once its storage is formatted."""
        return [*self._java("kafka.Kafka"), str(self.properties)]

    def launch(self) -> None:
        """Start the process, in a session of its own; `wait_until_ready` knows when it serves."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def format(self, cluster_id: str) -> None:
        """Make the empty storage that a node starts from. Raises KafkaNotStarted."""
        command = self._java("kafka.tools.StorageTool")
        command += ["format", "-t", cluster_id, "-c", str(self.properties)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise KafkaNotStarted(f"formatting node {self.node} failed: {(done.stdout + done.stderr)[-500:]}")

    def listens(self) -> bool:
        """Whether somebody takes connections on the port."""
        return listens(self.port)

    def kill(self) -> None:
        """SIGKILL, as a crash would; returns when the process is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM and, where that takes too long, SIGKILL; returns when the process is gone."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: connections stay open, and nobody answers any more once this returns."""
        assert self.process is not None
        halt(self.process.pid)

    def resume(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        self.wait()

    def wait(self) -> None:
        """Return when the process is gone; one that takes too long gets SIGKILL."""
        if self.process is None:
            return
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _java(self, main: str) -> list[str]:
        options = [f"-Xmx{self.heap}", "-XX:+UseSerialGC", "-Xshare:auto"]
        return ["java", *options, "-cp", f"{self.libs}/*", main]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kafka cluster on the loopback."""

    brokers: Sequence[Broker]

    @property
    def bootstrap(self) -> str:
        """The addresses as clients want them: `host:port`, joined by commas."""
        return ",".join(broker.address for broker in self.brokers)

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Return once every broker that was launched serves. Raises KafkaNotStarted.

        Blocks; call it from a thread that runs no event loop.
        """
        running = [broker for broker in self.brokers if broker.process is not None]
        deadline = time.monotonic() + seconds
        while not self._serve(running):
            dead = [broker for broker in running if broker.process and broker.process.poll() is not None]
            if dead or time.monotonic() > deadline:
                broker = (dead or running)[0]
                words = broker.output.read_text(errors="replace")[-2000:]
                raise KafkaNotStarted(f"Kafka node {broker.node} did not come up: {words}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End every process that was started here: all are asked at once, since the last ones of a quorum
        that is gone wait for it in vain.
        """
        self._end_all(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to every process that was started here, for a cluster whose data nobody needs again."""
        self._end_all(signal.SIGKILL)

    def _end_all(self, number: signal.Signals) -> None:
        for broker in self.brokers:
            if broker.process is not None:
                broker.process.send_signal(number)
        for broker in self.brokers:
            broker.wait()

    def _serve(self, running: Sequence[Broker]) -> bool:
        if not all(broker.listens() for broker in running):
            return False
        bootstrap = ",".join(broker.address for broker in running)
        return asyncio.run(_registered(bootstrap)) >= {broker.node for broker in running}


def start_cluster(
    folder: Path, *, brokers: int = 1, ports: Sequence[int] = (), properties: str = ""
) -> Cluster:
    """Start a new cluster that keeps its data in `folder`, on free ports unless they are given.

    `properties` are lines for every server.properties, in which {port} and {controller_port} stand for the
    node's own. Blocks until every broker serves, some five seconds. Raises KafkaNotStarted; then nothing
    runs on.
    """
    cluster = prepare_cluster(folder, brokers=brokers, ports=ports, properties=properties)
    try:
        for broker in cluster.brokers:
            broker.launch()
        cluster.wait_until_ready()
    except BaseException:
        cluster.kill()
        raise
    return cluster


def prepare_cluster(
    folder: Path, *, brokers: int = 1, ports: Sequence[int] = (), properties: str = ""
) -> Cluster:
    """Write the properties and format the storage of a new cluster, without starting it."""
    libs = fetch_jars()
    free = free_ports(2 * brokers)
    serving = list(ports) or free[:brokers]
    controllers = free[brokers:]
    voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(controllers, 1))
    cluster_id = base64.urlsafe_b64encode(b"\x00" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
    nodes: list[Broker] = []
    for node, (port, controller_port) in enumerate(zip(serving, controllers, strict=True), 1):
        broker = Broker(node, port, folder / f"kafka-{node}", libs)
        broker.folder.mkdir(parents=True)
        broker.properties.write_text(
            (_PROPERTIES + properties).format(
                node=node,
                voters=voters,
                port=port,
                controller_port=controller_port,
                data=broker.data,
                replicas=min(3, brokers),
            )
        )
        nodes.append(broker)
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda broker: broker.format(cluster_id), nodes))
    return Cluster(nodes)


async def _registered(bootstrap: str) -> set[int]:
    """The nodes that the cluster knows to be alive; none while nobody answers."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=2000)
    try:
        await admin.start()
        return {broker["node_id"] for broker in (await admin.describe_cluster())["brokers"]}
    except (KafkaError, OSError, TimeoutError):
        return set()
    finally:
        await admin.close()
