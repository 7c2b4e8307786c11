"""`GET /healthz` and `GET /readyz`: is the process up, and is everything it needs there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from meterhouse.domain.errors import MeterhouseError

Check = Callable[[], Awaitable[object]]


def health_routes(checks: Mapping[str, Check]) -> list[Route]:
    """Routes over `checks`, each named for what it looks at; one that raises MeterhouseError is not ready."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "up"})

    async def readyz(_: Request) -> Response:
        problems = [problem for name, check in checks.items() if (problem := await _problem(name, check))]
        if not problems:
            return JSONResponse({"status": "ready"})
        body = {"error": "unavailable", "message": "not ready: " + "; ".join(problems), "notReady": problems}
        return JSONResponse(body, status_code=503, headers={"retry-after": "1"})

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


async def _problem(name: str, check: Check) -> str | None:
    try:
        await check()
    except MeterhouseError as error:
        return f"{name}: {error}"
    return None
