"""Pages for people, as HTML of one piece: nothing is loaded, and nothing is run."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse

_STYLE: Final = files("query").joinpath("pages/style.css").read_text("utf-8")
_PAGES: Final = Environment(
    loader=PackageLoader("query", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.globals["style"] = Markup(_STYLE)  # noqa: S704 - it is our own file

_DIGEST: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Referrer-Policy": "no-referrer",  # the address is the secret
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


def _policy(form_action: str) -> str:
    return (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action {form_action};"
        " frame-ancestors 'none'"
    )


def html_page(template: str, status: int = 200, *, has_forms: bool = False, **values: object) -> HTMLResponse:
    """The template, filled in with values that are text wherever they stand."""
    policy = _policy("'self'" if has_forms else "'none'")
    text = _PAGES.get_template(template).render(values)
    return HTMLResponse(text, status, headers=_HEADERS | {"Content-Security-Policy": policy})


def look_at(**asked: str) -> RedirectResponse:
    """Done; now look at the same page, asked for that. Loading it again does nothing again."""
    return RedirectResponse("?" + urlencode(asked), 303, headers=_HEADERS)


def refusal_page(status: int, title: str, message: str) -> HTMLResponse:
    """Why there is nothing to see."""
    return html_page("refusal.html", status, title=title, message=message)
