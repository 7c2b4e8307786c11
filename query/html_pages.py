"""Pages for people, as HTML of one piece: nothing is loaded, and nothing is run."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

_STYLE: Final = files("query").joinpath("pages/style.css").read_text("utf-8")
_PAGES: Final = Environment(
    loader=PackageLoader("query", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.globals["style"] = Markup(_STYLE)  # noqa: S704 - it is our own file

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


def html_page(template: str, status: int = 200, **values: object) -> HTMLResponse:
    """The template, filled in with values that are text wherever they stand."""
    return HTMLResponse(_PAGES.get_template(template).render(values), status, headers=HEADERS)


def refusal_page(status: int, title: str, message: str) -> HTMLResponse:
    """Why there is nothing to see."""
    return html_page("refusal.html", status, title=title, message=message)
