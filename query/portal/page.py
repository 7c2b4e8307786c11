"""The page that a customer sees."""

from __future__ import annotations

from starlette.responses import HTMLResponse

from query.html_pages import html_page
from query.portal.chart import BAR, HEIGHT
from query.portal.view import WHOLE, Portal


def portal_page(portal: Portal) -> HTMLResponse:
    """What a customer sees of a subscription, or of all that it has."""
    return html_page("portal.html", portal=portal, whole=WHOLE, height=HEIGHT, bar_width=BAR)
