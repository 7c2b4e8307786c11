"""From the SIGKILL of an aggregator until its partitions are counted by the other one.

Events that meet every partition are posted right after it; asked for is what is counted of all of them.
`python -m benchmarks.takeover [--times N]`
"""

from __future__ import annotations

import argparse
import signal
from typing import Final

from benchmarks.catching_up import seconds_until_counted
from benchmarks.installation import Installed, installed
from benchmarks.report import percentile, show
from tests.api import Api

_KIND: Final = "takeover"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=6)
    times: int = parser.parse_args().times
    with installed(ingest=1, aggregator=2, query=1) as running, Api(running.url, running.key) as api:
        metric = api.create_metric(_KIND, "COUNT")["id"]
        seconds_until_counted(api, api, metric, _KIND, "before")
        seconds = [_taken_over(running, api, metric, f"aggregator-{n % 2 + 1}", n) for n in range(times)]
    show(
        "Counting again after an aggregator was killed",
        [
            {
                "times": str(times),
                "median s": f"{percentile(seconds, 0.5):.1f}",
                "worst s": f"{max(seconds):.1f}",
            }
        ],
    )


def _taken_over(running: Installed, api: Api, metric: str, name: str, number: int) -> float:
    running.installation.unit(name).end(signal.SIGKILL)
    seconds = seconds_until_counted(api, api, metric, _KIND, str(number))
    running.installation.start([name])
    seconds_until_counted(api, api, metric, _KIND, f"{number} again")  # the group has settled
    return seconds


if __name__ == "__main__":
    main()
