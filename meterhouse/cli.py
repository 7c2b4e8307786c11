"""The command line."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, NoReturn

import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from meterhouse import backfills as backfilling
from meterhouse import check as checking
from meterhouse import demo as demonstration
from meterhouse import rebuild as rebuilding
from meterhouse import webhook_commands as telling
from meterhouse.adapters.catalog.schema import migrate as migrate_catalog
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clickhouse.migrate import migrate as migrate_tables
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.data_folder import DataFolder, FolderInUse
from meterhouse.domain.errors import Invalid, MeterhouseError
from meterhouse.domain.instant import render
from meterhouse.embedded import DEV_KEY, DevOptions, serve
from meterhouse.settings import (
    AggregatorSettings,
    CatalogSettings,
    ClickHouseSettings,
    KafkaSettings,
    LogSettings,
    what_is_wrong,
)
from meterhouse.stores import shared_catalog, shared_clickhouse
from meterhouse.telemetry.logs import configure_logs

DEFAULT_DATA = Path(".meterhouse")

app = typer.Typer(
    help="Usage metering: CloudEvents in, exact usage out.", no_args_is_help=True, add_completion=False
)
keys_app = typer.Typer(
    help="API keys, of a data folder or of the catalog at METERHOUSE_CATALOG_URL; also while servers run.",
    no_args_is_help=True,
)
app.add_typer(keys_app, name="keys")
backfill_app = typer.Typer(
    help="Changed definitions that are being counted over earlier events; also while servers run.",
    no_args_is_help=True,
)
app.add_typer(backfill_app, name="backfill")
topics_app = typer.Typer(help="The log's topics on Kafka; METERHOUSE_KAFKA says where.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")
deadletter_app = typer.Typer(help="Records on Kafka that could not be read as events.", no_args_is_help=True)
app.add_typer(deadletter_app, name="deadletter")

webhooks_app = typer.Typer(
    help="Deliveries to merchants that were given up; also while servers run.",
    no_args_is_help=True,
)
app.add_typer(webhooks_app, name="webhooks")

Data = Annotated[
    Path, typer.Option("--data", envvar="METERHOUSE_DEV_DATA", help="The folder that keeps everything.")
]

KeysData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="METERHOUSE_DEV_DATA",
        help="The folder that keeps everything; without one METERHOUSE_CATALOG_URL, else .meterhouse.",
    ),
]


def main() -> None:
    """The entry point: a failure that has a name is one sentence, not a traceback."""
    try:
        configure_logs(LogSettings().level)
        app()
    except ValidationError as error:
        _fail(what_is_wrong(error), error)
    except (MeterhouseError, FolderInUse, demonstration.DemoFailed, OSError) as error:
        _fail(str(error), error)


def _fail(sentence: str, error: Exception) -> NoReturn:
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"meterhouse: {sentence}", style="red", markup=False, highlight=False)
    raise SystemExit(1) from error


@app.command()
def dev(
    data: Data = DEFAULT_DATA,
    host: Annotated[
        str, typer.Option(envvar="METERHOUSE_DEV_HOST", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="METERHOUSE_DEV_PORT", min=0, max=65535, help="0 takes a free one.")
    ] = 8080,
    clickhouse_port: Annotated[
        int | None,
        typer.Option(
            envvar="METERHOUSE_DEV_CLICKHOUSE_PORT",
            min=0,
            max=65535,
            help="Also serve the tables read-only over ClickHouse's HTTP interface, on the loopback.",
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="METERHOUSE_DEV_API_KEY", help="The key of merchant org_dev; mh_dev on a loopback host."
        ),
    ] = None,
) -> None:
    """Run ingest, aggregator and query in one process."""
    options = DevOptions(
        data=data, host=host, port=port, clickhouse_port=clickhouse_port, api_key=api_key or None
    )
    uvloop.run(serve(options, lambda line: print(line, flush=True)))  # noqa: T201 - scripts wait for this line


Host = Annotated[str, typer.Option(envvar="METERHOUSE_HOST", help="The address to listen on.")]
Port = Annotated[int, typer.Option(envvar="METERHOUSE_PORT", min=0, max=65535, help="0 takes a free one.")]


@app.command()
def ingest(host: Host = "127.0.0.1", port: Port = 8081) -> None:
    """Run ingest as a process of its own: events over HTTP into the log on Kafka."""
    _run_service("serve_ingest", host, port)


@app.command()
def aggregator(host: Host = "127.0.0.1", port: Port = 8082) -> None:
    """Run an aggregator as a process of its own: from the log on Kafka into ClickHouse."""
    _run_service("serve_aggregator", host, port)


@app.command()
def query(host: Host = "127.0.0.1", port: Port = 8083) -> None:
    """Run query as a process of its own: the API over ClickHouse and the catalog."""
    _run_service("serve_query", host, port)


@app.command()
def demo(
    events: Annotated[int, typer.Option(min=30, max=10_000_000, help="How many events to send.")] = 5_000,
    url: Annotated[
        str, typer.Option(envvar="METERHOUSE_DEMO_URL", help="A running server.")
    ] = "http://127.0.0.1:8080",
    key: Annotated[
        str, typer.Option(envvar="METERHOUSE_DEMO_KEY", help="A key of merchant org_dev.")
    ] = DEV_KEY,
) -> None:
    """Send a day of AI-API usage to a running server and show what it counted."""
    demonstration.run(Console(), url=url, key=key, events=events, now=SystemClock().now())


@app.command()
def check(
    data: KeysData = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds that running aggregators get to count what is uncounted.")
    ] = checking.PATIENCE,
) -> None:
    """Reconcile log, events, metered events and rollups; exit 1 and name the rows where they differ."""
    if data is None and CatalogSettings().url:
        stores = _kafka("meterhouse.distributed").open_stores()
        clean = asyncio.run(checking.run_shared(stores, Console(), wait))
    else:
        clean = asyncio.run(checking.run(DataFolder(data or DEFAULT_DATA), Console()))
    if not clean:
        raise typer.Exit(1)


@app.command()
def rebuild(
    data: KeysData = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget everything that is counted, and count the whole log anew; until then usage is too low.

    For when catalog and ClickHouse contradict each other. In a distributed installation stop the aggregators
    before, and start them after it.
    """
    if not yes:
        typer.confirm("Everything that is counted will be deleted, and counted anew. Go on?", abort=True)
    if data is None and CatalogSettings().url:
        distributed = _kafka("meterhouse.distributed")
        stores = distributed.open_stores()
        settle = AggregatorSettings().settle
        asyncio.run(rebuilding.run_shared(stores, distributed.require_idle, settle, typer.echo))
    else:
        asyncio.run(rebuilding.run(DataFolder(data or DEFAULT_DATA), typer.echo))


@app.command()
def migrate() -> None:
    """Bring the catalog (METERHOUSE_CATALOG_URL) and, where METERHOUSE_CLICKHOUSE_URL names it, ClickHouse up
    to date; harmless when they are, or while others do it.
    """
    url = CatalogSettings().url.get_secret_value()
    if not url:
        raise Invalid("METERHOUSE_CATALOG_URL names no catalog to migrate")
    typer.echo(f"The catalog is at revision {asyncio.run(migrate_catalog(url))}.")
    if "url" in ClickHouseSettings().model_fields_set:
        asyncio.run(_migrate_clickhouse())
        typer.echo("ClickHouse has every table.")


async def _migrate_clickhouse() -> None:
    async with shared_clickhouse() as pool:
        await migrate_tables(pool)


@app.command()
def provision(
    merchant: Annotated[str, typer.Option(help="The merchant, org_….")],
    product: Annotated[str | None, typer.Option(help="A product of the merchant, prod_….")] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar="METERHOUSE_PROVISION_KEY", help="An API key of the merchant, of your choosing."),
    ] = None,
    sandbox: Annotated[
        bool | None,
        typer.Option(
            "--sandbox/--no-sandbox",
            help="Whether the merchant may be reset, which deletes what it has; stays as it is unless given.",
            show_default=False,
        ),
    ] = None,
    data: KeysData = None,
) -> None:
    """Make a merchant, a product and a key unless they are there: for scripts that know them beforehand."""

    async def make() -> None:
        async with _catalog(data) as catalog:
            await catalog.ensure_merchant(merchant)
            if sandbox is not None:
                await catalog.mark_merchant(merchant, sandbox=sandbox)
            if product is not None:
                await catalog.ensure_product(merchant, product)
            if key is not None:
                await catalog.ensure_key(merchant, key)

    asyncio.run(make())
    typer.echo(f"{merchant} is there" + (f", with product {product}" if product else ""))


@keys_app.command("create")
def create_key(
    merchant: Annotated[str, typer.Option(help="The merchant the key belongs to, org_…; made if new.")],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    data: KeysData = None,
) -> None:
    """Make a key; the last line printed is the key, and it is never shown again."""

    async def create() -> str:
        async with _catalog(data) as catalog:
            _, secret = await catalog.create_key(merchant, name)
            return secret

    typer.echo(asyncio.run(create()))


@keys_app.command("list")
def list_keys(data: KeysData = None) -> None:
    """Show every key's id, merchant, name and state."""

    async def read() -> Table:
        table = Table(title="API keys")
        table.add_column("id", min_width=28, no_wrap=True)  # it is what `revoke` wants, so never cut it
        for column in ("merchant", "name", "key", "created", "revoked"):
            table.add_column(column)
        async with _catalog(data) as catalog:
            for key in await catalog.list_keys():
                revoked = "" if key.revoked_at is None else render(key.revoked_at)
                table.add_row(
                    key.id, key.merchant_id, key.name, f"{key.prefix}…", render(key.created_at), revoked
                )
        return table

    console = Console()
    if not console.is_terminal:
        console.width = 200  # piped, every key is whole and on one line
    console.print(asyncio.run(read()))


@keys_app.command("revoke")
def revoke_key(
    id: Annotated[str, typer.Argument(help="The key's id, key_…, as `keys list` shows it.")],
    data: KeysData = None,
) -> None:
    """Stop a key from working, within a second."""

    async def revoke() -> None:
        async with _catalog(data) as catalog:
            await catalog.revoke_key(id)

    asyncio.run(revoke())
    typer.echo(f"{id} is revoked")


@backfill_app.command("list")
def list_backfills(
    watch: Annotated[bool, typer.Option("--watch", help="Show them until all are done.")] = False,
    data: KeysData = None,
) -> None:
    """Show the definitions that are still being counted over earlier events, and how far they are."""
    asyncio.run(_show_backfills(data, watch))


@backfill_app.command("cancel")
def cancel_backfill(
    metric: Annotated[str, typer.Argument(help="The billable metric, bm_…, as `list` shows it.")],
    data: KeysData = None,
) -> None:
    """Give up a new definition; the billable metric is as the one before says again."""

    async def cancel() -> int:
        async with _catalog(data) as catalog:
            versions = await backfilling.versions_of(catalog)
            return await backfilling.cancel(versions, metric)

    typer.echo(f"version {asyncio.run(cancel())} of {metric} is cancelled")


async def _show_backfills(data: Path | None, watch: bool) -> None:
    async with _catalog(data) as catalog:
        await backfilling.show(await backfilling.versions_of(catalog), Console(), watch=watch)


@topics_app.command("create")
def create_topics(
    partitions: Annotated[int, typer.Option(min=1, help="The most aggregators that share the work.")] = 12,
    replicas: Annotated[int, typer.Option(min=1, help="Brokers that hold each partition.")] = 3,
    min_insync: Annotated[int, typer.Option(min=1, help="Of them, those that must have an event.")] = 2,
    retention_days: Annotated[
        int | None, typer.Option(min=7, help="Delete older records; without it nothing is deleted.")
    ] = None,
) -> None:
    """Make the topics of events and dead letters with the settings that the guarantees need."""
    _kafka().create_topics(
        KafkaSettings(),
        partitions=partitions,
        replicas=replicas,
        min_insync=min_insync,
        retention_days=retention_days,
    )


@topics_app.command("describe")
def describe_topics() -> None:
    """Show the topics; exit 1 and say what to do where a setting breaks a guarantee."""
    if not _kafka().describe_topics(KafkaSettings(), Console(soft_wrap=True)):
        raise typer.Exit(1)


@deadletter_app.command("list")
def list_dead_letters(
    limit: Annotated[int, typer.Option(min=1, help="Show that many at most, the newest.")] = 100,
) -> None:
    """Show dead letters: where they lay, when and why they were set aside, and how they begin."""
    _kafka().list_dead_letters(KafkaSettings(), Console(soft_wrap=True), limit)


@deadletter_app.command("requeue")
def requeue_dead_letters(
    places: Annotated[
        list[str] | None, typer.Argument(help="Dead letters as `list` shows them, partition:offset.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every one that was not requeued yet.")] = False,
) -> None:
    """Send dead letters to the log again, once what made them unreadable is mended."""
    if bool(places) == all:
        raise typer.BadParameter("name dead letters as partition:offset, or give --all")
    _kafka().requeue_dead_letters(KafkaSettings(), set(places or ()))


@webhooks_app.command("dead")
def list_dead_deliveries(
    merchant: Annotated[str | None, typer.Option(help="Of this merchant alone, org_….")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show that many at most, the newest.")] = 100,
    data: KeysData = None,
) -> None:
    """Show deliveries that were given up: whose, where to, of what, and why."""

    async def show() -> None:
        async with _catalog(data) as catalog:
            await telling.show_dead(catalog, Console(), merchant, limit)

    asyncio.run(show())


@webhooks_app.command("replay")
def replay_deliveries(
    deliveries: Annotated[
        list[str] | None, typer.Argument(help="Dead deliveries, dlv_…, as `dead` shows them.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every one that was given up.")] = False,
    merchant: Annotated[str | None, typer.Option(help="Of this merchant alone, org_….")] = None,
    data: KeysData = None,
) -> None:
    """Deliver again what was given up, under the same webhook ids and with all attempts."""
    if bool(deliveries) == all:
        raise typer.BadParameter("name deliveries as dlv_…, or give --all")

    async def send() -> int:
        async with _catalog(data) as catalog:
            return await telling.replay(catalog, None if all else set(deliveries or ()), merchant)

    typer.echo(f"{asyncio.run(send())} will be delivered again")


def _run_service(serve: str, host: str, port: int) -> None:
    distributed = _kafka("meterhouse.distributed")
    place = distributed.Place(host, port, lambda line: print(line, flush=True))  # noqa: T201 - scripts wait for it
    uvloop.run(getattr(distributed, serve)(place))


def _kafka(module: str = "meterhouse.kafka_commands") -> ModuleType:
    """A module that speaks to Kafka, whose driver is an extra that other commands do without."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("aiokafka"):
            raise
        raise typer.BadParameter("this needs the extra: pip install 'meterhouse[kafka]'") from error


def _catalog(data: Path | None) -> AbstractAsyncContextManager[Catalog]:
    """The folder's catalog where one is named, else the one that the environment names."""
    settings = CatalogSettings()
    if data is None and settings.url:
        return shared_catalog()
    folder = DataFolder(data or DEFAULT_DATA)
    folder.create()
    return Catalog.open(folder.catalog_url)
