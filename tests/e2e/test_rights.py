"""Least privilege: with the rights that the documents name it works, and `check` names each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from services.kinetica import Program
from services.outside import Service, ids_of, lines_of, until
from services.process import run_command

from kinetica_emulator import Emulator

DOCUMENT = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
LISTEN, READ = (
    json.loads(body) for body in re.findall(r"/grant/permission \\\n +-d '(\{.*\})'", DOCUMENT)
)
ROWS = re.findall(r"^\| `(.+?)`[^|]*\| (yes|no) \| (yes|no) \|$", DOCUMENT, re.MULTILINE)
TABLE = READ["object"]
COLUMNS = {"id": ["long", "primary_key"], "note": ["string"], "changed": ["long"]}


@pytest.fixture
def cluster() -> Iterator[Emulator]:
    with Emulator(port=0, monitor_port=0) as emulator:
        emulator.add_user("bridge", "secret")
        Program(emulator.url).create(TABLE, columns=COLUMNS)
        yield emulator


def insert(program: Program, number: int) -> None:
    text = json.dumps({"id": number, "note": "", "changed": number})
    program.call(
        "/insert/records", table_name=TABLE, list=[], list_str=[text], list_encoding="json"
    )


def update(program: Program, number: int, changed: int) -> None:
    program.call(
        "/update/records",
        table_name=TABLE,
        expressions=[f"id = {number}"],
        new_values_maps=[{"changed": str(changed)}],
        records_to_insert=[],
        records_to_insert_str=[],
        record_encoding="json",
    )


def grants_named(config_file: Path) -> list[dict[str, Any]]:
    """What `check` says must be granted."""
    ran = run_command("check", "--json", "-c", str(config_file))
    cures = [json.loads(line)["cure"] for line in ran.stdout.splitlines()]
    return [json.loads(body) for cure in cures for body in re.findall(r"-d '(\{.*?\}\})'", cure)]


@pytest.mark.parametrize(("settings", "listen", "read"), ROWS)
def test_each_right_that_the_documents_name_is_needed_and_enough(
    tmp_path: Path, cluster: Emulator, settings: str, listen: str, read: str
) -> None:
    """Rows come with exactly these; without one of them `check` names its grant."""
    program, table = Program(cluster.url), {"name": TABLE, **yaml.safe_load(settings)}
    needed = [grant for grant, is_needed in ((LISTEN, listen), (READ, read)) if is_needed == "yes"]
    for grant in needed:
        program.call("/grant/permission", **grant)
    insert(program, 1)
    out = tmp_path / f"{TABLE}.jsonl"
    config = {
        "kinetica": {
            "urls": [cluster.url],
            "username": "bridge",
            "password": "secret",
            "probe_interval": "300ms",
        },
        "tables": [table],
        "sinks": {"out": {"type": "file", "path": str(tmp_path / "{table}.jsonl")}},
    }

    with Service(tmp_path, config) as service:
        service.wait_tables(TABLE)
        insert(program, 2)
        until(lambda: 2 in ids_of(lines_of(out)), "a row that was inserted", service.said)
        if "snapshot" in table:
            until(lambda: 1 in ids_of(lines_of(out)), "a row of before", service.said)
        if "update_rows" in table:
            update(program, 2, changed=100)
            until(
                lambda: [e for e in lines_of(out) if e.get("cause") == "update"],
                "the row that was updated",
                service.said,
            )
        if table.get("catch_up") is not False:  # `off`, as this reader of YAML has it
            cluster.forget_monitors()
            insert(program, 3)
            until(lambda: 3 in ids_of(lines_of(out)), "the row that was missed", service.said)
            until(lambda: not service.gap_reasons(), "no gap is open", service.said)

        assert grants_named(service.config_file) == []
        for grant in needed:
            program.call("/revoke/permission", **grant)
            assert grants_named(service.config_file) == [grant]
            program.call("/grant/permission", **grant)


def test_the_documents_name_every_setting_that_reads_rows() -> None:
    """And both rights, with something that needs the one alone."""
    assert {"catch_up", "snapshot", "update_rows", "filter"} <= {
        name for settings, _, _ in ROWS for name in yaml.safe_load(settings)
    }
    assert {(listen, read) for _, listen, read in ROWS} == {("yes", "no"), ("yes", "yes")}
