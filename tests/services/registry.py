"""A real schema registry on loopback: Apicurio, which speaks Confluent's protocol.

A JDK runs it, with everything in memory. `python -m tests.services.registry` runs one until
Ctrl-C and prints its address.
"""

from __future__ import annotations

import json
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .maven import fetched, mvn
from .server import Server, run_alone

VERSION = "2.6.13.Final"
_ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"


def distribution() -> Path:
    """Return the folder with the registry; as `fetched`."""
    return fetched(f"apicurio-{VERSION}", _fetch)


def _fetch(scratch: Path) -> Path:
    mvn(scratch, f"{_PLUGIN}:get", f"-Dartifact={_ARTIFACT}", "-Dtransitive=false")
    mvn(scratch, f"{_PLUGIN}:copy", f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={scratch}")
    (archive,) = scratch.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(scratch / "registry", filter="data")
    return scratch / "registry"


class SchemaRegistryServer(Server):
    """One registry, empty at each start."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._settings = dict(settings or {})

    def __str__(self) -> str:
        return self.url

    @property
    def url(self) -> str:
        """What clients of Confluent's registry are given."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def command(self) -> list[str]:
        """See `Server.command`."""
        (program,) = distribution().glob("*-runner.jar")
        settings = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": str(self.port),
            "quarkus.log.level": "WARN",
            **self._settings,
        }
        given = (f"-D{name}={value}" for name, value in settings.items())
        return ["java", "-Xmx256m", *given, "-jar", str(program)]

    def answers(self) -> bool:
        """See `Server.answers`; new schemas have to be compatible from now on."""
        try:
            # Confluent's default, which is not this registry's.
            self.ask("config", {"compatibility": "BACKWARD"}, "PUT")
        except OSError:
            return False
        return True

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


if __name__ == "__main__":
    sys.exit(run_alone(SchemaRegistryServer))
