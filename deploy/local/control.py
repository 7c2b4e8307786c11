"""The distributed form on this machine, without Docker: `deploy/local/ctl up|down|status|kill|start`.

Everything is a real server but ClickHouse, for which its own engine stands in. All of it listens on the
loopback and keeps its data, logs and pids in one folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer

from deploy.local.kafka import fetch_jars, prepare_cluster
from deploy.local.machine import NO_CERTIFICATES, free_ports
from deploy.local.postgres import LocalPostgres
from deploy.local.units import NotStarted, Unit
from meterhouse.adapters.catalog.store import Catalog

MERCHANT: Final = "org_dev"
PRODUCT: Final = "prod_dev"

_START_SECONDS: Final = 60.0
_HELP: Final = "The distributed form on this machine, without Docker."

app = typer.Typer(help=_HELP, no_args_is_help=True, add_completion=False)

Folder = Annotated[Path, typer.Option("--dir", help="The folder that keeps everything.")]
DEFAULT_FOLDER: Final = Path(".meterhouse-local")


@dataclass(frozen=True, slots=True)
class Installation:
    """What `up` set up in a folder: ports, commands and the environment of every process."""

    folder: Path
    postgres: LocalPostgres
    units: Sequence[Unit]
    environment: Mapping[str, str]
    url: str

    @classmethod
    def plan(cls, folder: Path, *, ingest: int, aggregators: int, queries: int, brokers: int) -> Installation:
        """Choose ports and write down everything that is needed to find it again."""
        count = ingest + aggregators + queries
        ports = free_ports(count + 3)
        postgres, clickhouse, gateway, *services = ports
        names = [f"ingest-{n + 1}" for n in range(ingest)]
        names += [f"aggregator-{n + 1}" for n in range(aggregators)]
        names += [f"query-{n + 1}" for n in range(queries)]
        cluster = prepare_cluster(folder / "kafka", brokers=brokers)
        plan = {
            "postgres": {"port": postgres, "password": secrets.token_urlsafe(16)},
            "clickhouse": {"port": clickhouse, "password": secrets.token_urlsafe(16)},
            "gateway": gateway,
            "kafka": [{"port": one.port, "command": one.command} for one in cluster.brokers],
            "services": dict(zip(names, services, strict=True)),
        }
        path = folder / "plan.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(plan))
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path) -> Installation:
        """What was planned there. Raises FileNotFoundError."""
        folder = folder.resolve()
        plan = json.loads((folder / "plan.json").read_text())
        postgres = LocalPostgres(
            folder=folder / "postgres", port=plan["postgres"]["port"], password=plan["postgres"]["password"]
        )
        secret = plan["clickhouse"]["password"]
        url = f"http://127.0.0.1:{plan['gateway']}"
        environment = {
            "METERHOUSE_PUBLIC_URL": url,
            "METERHOUSE_KAFKA": ",".join(f"127.0.0.1:{one['port']}" for one in plan["kafka"]),
            "METERHOUSE_CATALOG_URL": postgres.url(),
            "METERHOUSE_CLICKHOUSE_URL": f"http://default:{secret}@127.0.0.1:{plan['clickhouse']['port']}/default",
        }
        units = list(_units(folder, plan, environment))
        return cls(folder, postgres, units, environment, url)

    @property
    def left(self) -> Mapping[str, str]:
        """What `up` left in DIR/env for whoever uses the installation; nothing before that."""
        path = self.folder / "env"
        return dict(line.split("=", 1) for line in path.read_text().splitlines()) if path.exists() else {}

    def unit(self, name: str) -> Unit:
        """Raises BadParameter for a name that is not one of ours."""
        for one in self.units:
            if one.name == name:
                return one
        names = ", ".join(["postgres", *[one.name for one in self.units]])
        raise typer.BadParameter(f"{name} is none of {names}")

    def start(self, names: Sequence[str]) -> None:
        """Start these and return once they serve. Raises NotStarted."""
        chosen = [self.unit(name) for name in names]
        for one in chosen:
            one.launch()
        for one in chosen:
            one.wait_until(is_ready, _START_SECONDS)

    def named(self, *prefixes: str) -> list[str]:
        return [one.name for one in self.units if one.name.startswith(prefixes)]


def _units(folder: Path, plan: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[Unit]:
    logs = folder / "processes"
    python = sys.executable

    def unit(name: str, port: int, command: Sequence[str]) -> Unit:
        return Unit(name=name, command=command, environment=environment, port=port, folder=logs)

    for number, broker in enumerate(plan["kafka"], 1):
        yield unit(f"kafka-{number}", broker["port"], broker["command"])
    clickhouse = plan["clickhouse"]
    options = ["--data", str(folder / "clickhouse"), "--port", str(clickhouse["port"])]
    options.append(f"--password={clickhouse['password']}")  # one word, as it may begin with a dash
    stand_in = [python, "-m", "deploy.local.clickhouse", *options]
    yield unit("clickhouse", clickhouse["port"], stand_in)
    for name, port in plan["services"].items():
        service = name.rpartition("-")[0]
        yield unit(name, port, [python, "-m", "meterhouse", service, "--port", str(port)])

    def addresses(service: str) -> str:
        services = plan["services"].items()
        return ",".join(f"http://127.0.0.1:{port}" for name, port in services if name.startswith(service))

    routes = ["--ingest", addresses("ingest-"), "--query", addresses("query-")]
    gateway = [python, "-m", "deploy.local.gateway", "--port", str(plan["gateway"]), *routes]
    yield unit("gateway", plan["gateway"], gateway)


def is_ready(unit: Unit) -> bool:
    """Whether it serves; of our own services, whether all is there that they need."""
    if unit.name.startswith(("ingest-", "aggregator-", "query-")):
        try:
            url = f"http://127.0.0.1:{unit.port}/readyz"
            return httpx.get(url, timeout=5, verify=NO_CERTIFICATES).status_code == 200
        except httpx.TransportError:
            return False
    return unit.listens()


@app.command()
def up(
    folder: Folder = DEFAULT_FOLDER,
    *,
    ingest: Annotated[int, typer.Option(min=1)] = 2,
    aggregator: Annotated[int, typer.Option(min=1)] = 2,
    query: Annotated[int, typer.Option(min=1)] = 1,
    brokers: Annotated[int, typer.Option(min=1, help="Kafka nodes.")] = 1,
    partitions: Annotated[int, typer.Option(min=1, help="Of the log, when it is made.")] = 2,
) -> None:
    """Start everything, made first where the folder is new, and leave its addresses in DIR/env."""
    folder.mkdir(parents=True, exist_ok=True)
    fetch_jars()
    if (folder / "plan.json").exists():
        installation = Installation.load(folder)
    else:
        installation = Installation.plan(
            folder.resolve(), ingest=ingest, aggregators=aggregator, queries=query, brokers=brokers
        )
    try:
        installation.start(installation.named("kafka-", "clickhouse"))
        installation.postgres.start()
        _prepare(installation, brokers, partitions)
        installation.start(installation.named("ingest-", "aggregator-", "query-"))
        installation.start(["gateway"])
    except NotStarted as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"meterhouse is ready at {installation.url}; its addresses are in {folder / 'env'}")


def _prepare(installation: Installation, brokers: int, partitions: int) -> None:
    """Tables, topics, the development merchant and its key; all of it may be there already."""
    _meterhouse(installation, "migrate")
    replicas = min(3, brokers)
    topics = ["--partitions", str(partitions), "--replicas", str(replicas)]
    _meterhouse(installation, "topics", "create", *topics, "--min-insync", str(max(1, replicas - 1)))
    path = installation.folder / "env"
    key = installation.left.get("METERHOUSE_KEY") or asyncio.run(_provision(installation.environment))
    lines = {"METERHOUSE_URL": installation.url, "METERHOUSE_KEY": key, **installation.environment}
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))


async def _provision(environment: Mapping[str, str]) -> str:
    async with Catalog.connect(environment["METERHOUSE_CATALOG_URL"]) as catalog:
        await catalog.ensure_merchant(MERCHANT)
        await catalog.ensure_product(MERCHANT, PRODUCT)
        _, key = await catalog.create_key(MERCHANT, "made by deploy/local/ctl")
        return key


def _meterhouse(installation: Installation, *arguments: str) -> None:
    command = [sys.executable, "-m", "meterhouse", *arguments]
    environment = {**os.environ, **installation.environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotStarted(f"`meterhouse {' '.join(arguments)}` failed:\n{done.stdout}{done.stderr}")


@app.command()
def down(folder: Folder = DEFAULT_FOLDER) -> None:
    """Stop exactly what `up` started; data stay."""
    installation = Installation.load(folder)
    for one in reversed(installation.units):
        if not one.name.startswith(("kafka-", "clickhouse")):
            one.end(signal.SIGTERM)
    installation.postgres.stop()
    for one in reversed(installation.units):
        one.end(signal.SIGTERM)


@app.command()
def status(folder: Folder = DEFAULT_FOLDER) -> None:
    """Show every process; exit 1 unless all are ready."""
    installation = Installation.load(folder)
    states = {"postgres": "ready" if installation.postgres.is_ready else "down"}
    for one in installation.units:
        states[one.name] = "down" if one.pid is None else "ready" if is_ready(one) else "not ready"
    for name, state in states.items():
        typer.echo(f"{name:16} {state}")
    if set(states.values()) != {"ready"}:
        raise typer.Exit(1)


@app.command()
def kill(name: Annotated[str, typer.Argument()], folder: Folder = DEFAULT_FOLDER) -> None:
    """SIGKILL one process."""
    installation = Installation.load(folder)
    if name == "postgres":
        installation.postgres.kill()
    else:
        installation.unit(name).end(signal.SIGKILL)


@app.command()
def start(name: Annotated[str, typer.Argument()], folder: Folder = DEFAULT_FOLDER) -> None:
    """Start one process again, and return once it serves."""
    installation = Installation.load(folder)
    try:
        if name == "postgres":
            installation.postgres.start()
        else:
            installation.start([name])
    except NotStarted as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
