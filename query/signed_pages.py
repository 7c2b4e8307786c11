"""Pages behind signed links: no key is needed, as the link is one."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response

from meterhouse.adapters.http.errors import error_body
from meterhouse.domain.errors import NotFound, Rejected, TooManyRequests, Unavailable
from meterhouse.domain.instant import render
from meterhouse.domain.signed_link import SignedLink, link_of
from query.backend import Backend
from query.html_pages import refusal_page
from query.route import Handler

_log: Final = structlog.get_logger("query")

PATH: Final = "/portal/"  # of all of them: what follows lets whoever reads it in
AT_ONCE_AND_WAITING: Final = (2, 16)  # pages of a merchant: whoever has a link may ask as often as he likes


class Refused(Exception):
    """There is nothing to see, for whoever has the link; 403 where it is none, 410 where it was one."""

    def __init__(self, status: int, title: str, message: str) -> None:
        super().__init__(title)
        self.status, self.title, self.message = status, title, message


class _PageRoute(APIRoute):
    """Needs no key, as the link is one. Whatever goes wrong is a page too, and no log has the link."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await handle(request)
            except Refused as refused:
                return refusal_page(refused.status, refused.title, refused.message)
            except NotFound:
                return refusal_page(410, "There is nothing here any more", "What this link showed is gone.")
            except RequestValidationError:
                return refusal_page(400, "There is no such page", "Its address was changed on its way.")
            except Rejected as error:
                return refusal_page(error_body(error)[0], "That cannot be done", str(error))
            except TooManyRequests:
                return refusal_page(429, "Too many are looking", "Please try again in a moment.")
            except Unavailable as error:
                _log.warning("page not shown", path=self.path, error=repr(error))
                return refusal_page(503, "Not available right now", "Please try again in a moment.")
            except Exception as error:  # noqa: BLE001 - the last resort: a bug becomes a page, and a log
                _log.error("page failed", path=self.path, error=repr(error), exc_info=error)
                return refusal_page(500, "Something went wrong", "Please try again later.")

        return shown


def new_pages() -> APIRouter:
    """A router of such pages."""
    return APIRouter(route_class=_PageRoute, include_in_schema=False)


async def shown_link(link: SignedLink, path: str, request: Request, ports: Backend) -> dict[str, Any]:
    """When the link ends, and where it leads: to the page at `path`."""
    origin = ports.public_url or str(request.base_url)
    token = link.token(await ports.links.key())
    return {"expiresAt": render(link.expires_at), "url": f"{origin.rstrip('/')}{path}{token}"}


async def opened(token: str, purposes: Container[str], ports: Backend) -> SignedLink:
    """The link that the token is of, if it still is one, and one of those that the page is for."""
    link = link_of(token, await ports.links.key())
    if link is None or link.purpose not in purposes:
        message = "It was changed or cut on its way. Please ask for a new one where you got it."
        raise Refused(403, "This link is not valid", message)
    if link.expires_at <= ports.clock.now():
        raise Refused(410, "This link has expired", "Please ask for a new one where you got it.")
    if not await ports.links.is_served(link.merchant_id):
        raise NotFound(f"{link.merchant_id} has no API key")
    return link
