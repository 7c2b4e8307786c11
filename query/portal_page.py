"""The pages that customers see, as HTML of one piece: nothing is loaded, and nothing is run."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from query.portal_chart import BAR, HEIGHT
from query.portal_view import WHOLE, Portal

_STYLE: Final = files("query").joinpath("pages/style.css").read_text("utf-8")
_PAGES: Final = Environment(
    loader=PackageLoader("query", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.globals |= {"style": Markup(_STYLE), "whole": WHOLE, "height": HEIGHT, "bar_width": BAR}  # noqa: S704 - it is our own file

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",  # the address is the secret
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


def portal_page(portal: Portal) -> HTMLResponse:
    """What a customer sees of a subscription."""
    return HTMLResponse(_PAGES.get_template("portal.html").render(portal=portal), headers=HEADERS)


def refusal_page(status: int, title: str, message: str) -> HTMLResponse:
    """Why there is nothing to see."""
    text = _PAGES.get_template("refusal.html").render(title=title, message=message)
    return HTMLResponse(text, status, headers=HEADERS)
