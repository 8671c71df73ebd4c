"""A real Prometheus, which scrapes what a test says and answers queries."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from services.process import free_port, wait_until


class PrometheusMissing(Exception):
    """There is no Prometheus here; the message says how to get it."""


class Prometheus:
    """Scrapes one target once a second, as long as the context lasts.

    Args:
        folder: for its configuration and its data.
        target: HOST:PORT of the metrics.

    Raises:
        PrometheusMissing: there is no such program.
    """

    def __init__(self, folder: Path, target: str) -> None:
        program = shutil.which("prometheus")
        if program is None:
            raise PrometheusMissing("no prometheus here: apt-get install prometheus")
        self._program = program
        self._folder = folder
        self._target = target
        self._port = free_port()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        file = self._folder / "prometheus.yml"
        scrape = {
            "job_name": "kinetica-bridge",
            "static_configs": [{"targets": [self._target]}],
        }
        file.write_text(
            yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]})
        )
        self._process = subprocess.Popen(
            [
                self._program,
                f"--config.file={file}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(30)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression is now: a list of `metric` and `value`.

        Raises:
            AssertionError: it is none.
        """
        query = urllib.parse.urlencode({"query": expression})
        url = f"http://127.0.0.1:{self._port}/api/v1/query?{query}"
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
            try:
                found = self.query("count_over_time(up[10m])")
            except OSError:  # it is starting
                return False
            return bool(found) and int(found[0]["value"][1]) >= times

        wait_until(scraped, f"{times} scrapes", timeout=60)
