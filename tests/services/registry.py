"""A real schema registry on loopback: Apicurio, which speaks Confluent's protocol.

Its distribution comes from Maven Central by `mvn` once and is kept in `tests/services/.cache`; a
JDK runs it, with everything in memory. `python tests/services/registry.py` runs one until Ctrl-C.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

VERSION = "2.6.13.Final"
CACHE = Path(__file__).parent / ".cache"
START_TIMEOUT = 90.0
STOP_TIMEOUT = 20.0
_ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"


class RegistryMissing(Exception):
    """The registry cannot be run on this machine; the message says what to install."""


def distribution() -> Path:
    """Return the folder with the registry, fetched at the first call.

    Raises:
        RegistryMissing: no `java` or `mvn`, or Maven could not fetch it.
    """
    if shutil.which("java") is None:
        raise RegistryMissing(
            "no java: install a JDK, 17 or later (apt install default-jdk-headless)"
        )
    folder = CACHE / f"apicurio-{VERSION}"
    if folder.is_dir():
        return folder
    if shutil.which("mvn") is None:
        raise RegistryMissing("no mvn to fetch a schema registry with: apt install maven")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        _maven("get", f"-Dartifact={_ARTIFACT}", "-Dtransitive=false")
        _maven("copy", f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={scratch}")
        (archive,) = Path(scratch).glob("*.tar.gz")
        whole = Path(scratch, "registry")
        with tarfile.open(archive) as tar:
            tar.extractall(whole, filter="data")
        try:
            whole.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another run of the tests was first
                raise
    return folder


def _maven(goal: str, *arguments: str) -> None:
    run = subprocess.run(
        ["mvn", "-q", "-B", f"{_PLUGIN}:{goal}", *arguments],
        cwd=CACHE,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RegistryMissing(f"mvn could not fetch the registry: {run.stdout[-2000:]}")


class SchemaRegistryServer:
    """One registry, empty at each start; a context manager that leaves nothing behind.

    Its port stays the same when it is started again.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What clients of Confluent's registry are given."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; return when it answers and asks new schemas to be compatible."""
        if self._process is not None:
            return
        (program,) = distribution().glob("*-runner.jar")
        settings = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": str(self.port),
            "quarkus.log.level": "WARN",
            **self._settings,
        }
        self._process = subprocess.Popen(
            [
                "java",
                "-Xmx256m",
                *(f"-D{name}={value}" for name, value in settings.items()),
                "-jar",
                str(program),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the tests, not for it
        )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it; all that it knew is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Make it hang: connections stay open and nothing is answered."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """Return what it answers to a call."""
        request = urllib.request.Request(
            f"{self.url}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise

    def subjects(self) -> list[str]:
        """Name the subjects there are."""
        return sorted(self.ask("subjects"))

    def versions(self, subject: str) -> list[dict[str, Any]]:
        """Return the schemas of a subject, in their order."""
        numbers = self.ask(f"subjects/{subject}/versions")
        answers = [self.ask(f"subjects/{subject}/versions/{number}") for number in numbers]
        return [json.loads(answer["schema"]) for answer in answers]

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end and self._process.poll() is None:
            try:
                # Confluent's default, which is not this registry's.
                self.ask("config", {"compatibility": "BACKWARD"}, "PUT")
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError("the schema registry did not start")


def main() -> int:
    """Run a registry until a signal ends it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with SchemaRegistryServer() as registry:
            print(registry.url, flush=True)
            signal.pause()
    except RegistryMissing as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
