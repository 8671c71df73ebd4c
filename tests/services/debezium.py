"""What reads Debezium's envelopes out in the world: Connect's JsonConverter, Debezium's own SMT."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .kafka import VERSION as KAFKA_VERSION
from .kafka import jars, java
from .server import find_program

VERSION = "3.1.3.Final"
PROGRAM = Path(__file__).parent / "ReadEnvelopes.java"


def debezium_jars() -> Path:
    """Return the folder with Debezium's jars; as `fetched`."""
    find_program("javac", "default-jdk-headless")  # `PROGRAM` is compiled as it starts
    return jars(
        f"debezium-{VERSION}",
        (
            ("io.debezium", "debezium-core", VERSION),
            ("org.apache.kafka", "connect-json", KAFKA_VERSION),
            ("org.apache.kafka", "connect-transforms", KAFKA_VERSION),
            ("org.slf4j", "slf4j-simple", "1.7.36"),
        ),
    )


def read_envelopes(libraries: Path, messages: Iterable[tuple[bytes | None, bytes]]) -> list[Any]:
    """Return what a Connect sink reads of keys and values that carry their schemas.

    Each has `name` (of the envelope's schema), `key`, `envelope`, and `row`: the flat row that
    `ExtractNewRecordState` makes of it, with `__op`, `__source_snapshot`, `__source_event_id`.
    """
    given = "".join(
        f"{base64.b64encode(key or b'').decode()}\t{base64.b64encode(value).decode()}\n"
        for key, value in messages
    )
    run = subprocess.run(
        [*java(libraries, "256m"), str(PROGRAM)],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
