"""A real Prometheus, which scrapes what a test says and answers queries."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import yaml

from .process import wait_until
from .server import Server, find_program


def program() -> str:
    """Return the path of `prometheus`.

    Raises:
        ServiceMissing: there is none.
    """
    return find_program("prometheus", "prometheus")


class Prometheus(Server):
    """Scrapes one target once a second.

    Args:
        target: HOST:PORT of the metrics.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = target

    def prepare(self) -> None:
        """See `Server.prepare`."""
        scrape = {
            "job_name": "kinetica-bridge",
            "static_configs": [{"targets": [self._target]}],
        }
        (self.folder / "prometheus.yml").write_text(
            yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]})
        )

    def command(self) -> list[str]:
        """See `Server.command`."""
        return [
            program(),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def answers(self) -> bool:
        """See `Server.answers`."""
        try:
            self.query("up")
        except OSError:
            return False
        return True

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression is now: a list of `metric` and `value`.

        Raises:
            AssertionError: it is none.
        """
        query = urllib.parse.urlencode({"query": expression})
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{query}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as refused:
            if refused.code == 503:  # it is starting
                raise
            raise AssertionError(f"{expression}: {refused.read().decode()}") from None
        result: list[dict[str, Any]] = found["data"]["result"]
        return result

    def wait_scraped(self, times: int) -> None:
        """Wait until the target was scraped so often."""

        def scraped() -> bool:
            found = self.query("count_over_time(up[10m])")
            return bool(found) and int(found[0]["value"][1]) >= times

        wait_until(scraped, f"{times} scrapes", timeout=60)
