"""Helm, Kubernetes' package manager, to lint and render the chart with; it needs no cluster.

`make helm` builds it into `tests/services/.cache` with Go, which takes minutes the first time;
a `helm` on the PATH comes first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

MODULE, VERSION = "helm.sh/helm/v3/cmd/helm", "v3.18.6"
CACHE = Path(__file__).parent / ".cache"
CHART = Path(__file__).parents[2] / "deploy" / "helm" / "kinetica-bridge"
# A cluster of which nobody tells what it is.
KUBERNETES = "1.33.0"


class HelmMissing(Exception):
    """There is no Helm here; the message says how to get it."""


class Helm:
    """Lints and renders the chart.

    Raises:
        HelmMissing: there is none.
    """

    def __init__(self) -> None:
        built = CACHE / f"helm-{VERSION}"
        found = shutil.which("helm") or (str(built) if built.exists() else None)
        if found is None:
            raise HelmMissing("no helm here: make helm builds one, with Go 1.24 or later")
        self._program = found

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of it that asks no cluster and no repository."""
        environment = {**os.environ, "KUBECONFIG": os.devnull}
        return subprocess.run(
            [self._program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )

    def attempt(
        self, *values: Path, settings: Sequence[str] = (), more: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Render the chart as the release `kinetica-bridge`.

        Args:
            values: files of values, a later one over an earlier one.
            settings: as after `--set`.
            more: further arguments.
        """
        files = [part for path in values for part in ("--values", str(path))]
        single = [part for setting in settings for part in ("--set", setting)]
        return self.run(
            "template", "kinetica-bridge", str(CHART), "--kube-version", KUBERNETES,
            *files, *single, *more,
        )  # fmt: skip

    def render(
        self, *values: Path, settings: Sequence[str] = (), more: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Return the objects of the release; arguments as of `attempt`."""
        done = self.attempt(*values, settings=settings, more=more)
        assert done.returncode == 0, done.stderr
        return [part for part in yaml.safe_load_all(done.stdout) if part]


def build() -> Path:
    """Build it, once, and return where it is."""
    built = CACHE / f"helm-{VERSION}"
    if not built.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "GOBIN": str(CACHE)}
        subprocess.run(["go", "install", f"{MODULE}@{VERSION}"], env=environment, check=True)
        (CACHE / "helm").rename(built)
    return built


if __name__ == "__main__":
    print(build())
