"""One address for all routes: `python -m deploy.local.gateway --port P --ingest URL,… --query URL,…`.

Events go to the ingest processes, everything else to the query processes, in turn; one that cannot be
reached is passed over. For a local start only: in production that is a load balancer's work.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

import httpx
import uvloop
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import request_response
from starlette.types import ASGIApp

from ingest.routes import PATHS
from meterhouse.adapters.http.server import Server, listening, serve_until_stopped

# RFC 9110, 7.6.1: these are between two neighbours; and httpx has undone the coding of what it read.
_NOT_PASSED_ON: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "transfer-encoding",
        "te",
        "upgrade",
        "content-length",
        "content-encoding",
        "host",
    }
)


class Backends:
    """Processes that do the same, asked in turn."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(urls)
        self._next = 0

    def in_turn(self) -> list[str]:
        """All of them, beginning with another one each time."""
        self._next = (self._next + 1) % len(self._urls)
        return self._urls[self._next :] + self._urls[: self._next]


def create_app(client: httpx.AsyncClient, ingest: Sequence[str], query: Sequence[str]) -> ASGIApp:
    """The gateway to processes at these addresses, which are asked through `client`."""
    events, questions = Backends(ingest), Backends(query)

    async def pass_on(request: Request) -> Response:
        chosen = events if request.url.path in PATHS and request.method != "GET" else questions
        content = await request.body()
        headers = [(name, value) for name, value in request.headers.raw if name.decode() not in _KEPT_BACK]
        for url in chosen.in_turn():
            target = httpx.URL(url).copy_with(raw_path=_raw_path(request))
            try:
                answer = await client.request(request.method, target, content=content, headers=headers)
            except httpx.ConnectError:
                continue  # nothing was sent, so another may be asked
            except httpx.TransportError as error:
                return _unavailable(f"no answer from {url}: {error!r}")
            passed = {name: value for name, value in answer.headers.items() if name not in _NOT_PASSED_ON}
            return Response(answer.content, answer.status_code, passed)
        return _unavailable("no process is there to answer")

    return request_response(pass_on)  # of a route even "any path" would be one without a line break


# The body's own coding stays, since its bytes are passed on as they are.
_KEPT_BACK: Final = _NOT_PASSED_ON - {"content-encoding"}


def _raw_path(request: Request) -> bytes:
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    question: bytes = request.scope["query_string"]
    return path + b"?" + question if question else path


def _unavailable(reason: str) -> Response:
    body = {"error": "unavailable", "message": reason}
    return JSONResponse(body, status_code=503, headers={"retry-after": "1"})


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.gateway", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ingest", required=True, help="addresses, joined by commas")
    parser.add_argument("--query", required=True, help="addresses, joined by commas")
    options = parser.parse_args()
    client = httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=500))
    app = create_app(client, options.ingest.split(","), options.query.split(","))
    with listening("127.0.0.1", options.port) as listener:
        uvloop.run(serve_until_stopped([Server(app, listener)], ready=lambda: None))


if __name__ == "__main__":
    main()
