"""What reads Debezium's envelopes out in the world: Connect's JsonConverter, Debezium's own SMT."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from services.kafka import VERSION as KAFKA_VERSION
from services.kafka import KafkaMissing, jars, java

VERSION = "3.1.3.Final"
PROGRAM = Path(__file__).parent / "ReadEnvelopes.java"


def debezium_jars() -> Path:
    """Return the folder with Debezium's jars, fetched at the first call.

    Raises:
        KafkaMissing: no `java`, `javac` or `mvn`, or Maven could not fetch them.
    """
    if shutil.which("javac") is None:  # a program in one source file is compiled as it starts
        raise KafkaMissing("no javac: install a JDK (apt install default-jdk-headless)")
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
