"""Runs every Python example in the README of the paygentic-sdk that is installed: script URL IDS.

The code is taken from the package itself and run as it was published. Only what every reader has to set is
set: the server's address, the key (PAYGENTIC_BEARER_AUTH), and IDS, a JSON object of the ids in the README
and those that are put in their place. Writes one JSON line for each example: the "calls" it makes, and its
"outcome": "ran", or the status that the client raised.
"""

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from typing import Any

from paygentic_sdk import errors, sdkconfiguration

PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
CALL = re.compile(r"\bpaygentic\.([a-z_0-9.]+?)(?:_async)?\(")
ADDRESS = "https://api.sandbox.paygentic.io"

# What stands in the README and is no Python: what a reader puts there instead.
PUT_RIGHT = (
    ("        RetryConfig(", "        retries=RetryConfig("),
    ("# Rest of application here...\n\n\n#", "paygentic.products.list(request={})\n\n\n#"),
    ("# Rest of application here...", "await paygentic.products.list_async(request={})"),
    ("import AsyncHttpClient\n", "import AsyncHttpClient\nfrom typing import Any, Optional, Union\n"),
)
AFTERWARDS = "\nif 'amain' in globals():\n    import asyncio\n    main()\n    asyncio.run(amain())\n"


def main(url: str, ids: str) -> None:
    sdkconfiguration.SERVERS[:] = [url] * len(sdkconfiguration.SERVERS)
    replaced: dict[str, str] = {ADDRESS: url} | json.loads(ids)
    for published in PYTHON.findall(distribution("paygentic-sdk").read_text("METADATA") or ""):
        for own in _variants(published, replaced):
            code = published
            for theirs, ours in own.items():
                code = code.replace(theirs, ours)
            print(json.dumps({"calls": CALL.findall(published), "outcome": _outcome(code)}))


def _variants(published: str, replaced: dict[str, str]) -> Iterator[dict[str, str]]:
    """What handles an error meets one too: a product that does not exist."""
    yield replaced
    if "except errors." in published:
        yield replaced | {"prod_abc123": "prod_none"}


def _outcome(code: str) -> str:
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            _run(code)
    except errors.PaygenticError as error:
        return str(error.status_code)
    return "handled 404" if "404" in said.getvalue().splitlines() else "ran"


def _run(code: str) -> None:
    try:
        _execute(code)
    except (SyntaxError, NameError):
        for theirs, ours in PUT_RIGHT:
            code = code.replace(theirs, ours)
        _execute(code + AFTERWARDS)


def _execute(code: str) -> None:
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code, "README", "exec"), names)


main(*sys.argv[1:])
