"""A stand-in for a ClickHouse server where none is installed: `python -m deploy.local.clickhouse --data DIR`.

The engine is ClickHouse's own (chDB), so tables, queries, deduplication and errors are the real ones. It
serves the HTTP interface alone, as far as clickhouse-connect uses it: no replication, no users beyond one.
When it is up it prints `clickhouse is ready at http://127.0.0.1:PORT`; SIGTERM stops it, and data outlive a
SIGKILL.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path

import chdb
import uvicorn

from deploy.local.clickhouse.app import Login, create_app
from deploy.local.clickhouse.engine import Engine
from meterhouse.adapters.data_folder import DataFolder, FolderInUse
from meterhouse.adapters.http.server import quiet


def main() -> None:
    """Serve until SIGTERM or SIGINT; exit status 1 with a message where folder or port are taken."""
    options = _options()
    for stop in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again when it has shut down
        signal.signal(stop, lambda *_: sys.exit(0))
    folder = DataFolder(options.data)
    folder.create()
    try:
        with folder.lock():
            _serve(folder.path / "clickhouse", options)
    except (FolderInUse, OSError) as error:
        sys.exit(str(error))


def _serve(path: Path, options: argparse.Namespace) -> None:
    # One connection is kept, because the engine ends with its last one.
    with closing(chdb.connect(str(path.resolve()))):
        app = create_app(Engine(str(path)), Login(options.user, options.password))
        with socket.create_server((options.host, options.port), backlog=1024) as listener:
            host, port = listener.getsockname()
            scheme = "https" if options.certificate else "http"
            sys.stdout.write(f"clickhouse is ready at {scheme}://{host}:{port}\n")
            sys.stdout.flush()
            config = quiet(
                app,
                timeout_keep_alive=30,  # as ClickHouse's keep_alive_timeout
                ssl_certfile=options.certificate,
                ssl_keyfile=options.key,
            )
            uvicorn.Server(config).run(sockets=[listener])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.clickhouse", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder for its data; made if need be")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--user", default="default")
    parser.add_argument("--password", default="", help="empty: anybody may use it")
    parser.add_argument("--certificate", help="PEM file; makes it HTTPS")
    parser.add_argument("--key", help="PEM file of the certificate's key")
    return parser.parse_args()


if __name__ == "__main__":
    main()
