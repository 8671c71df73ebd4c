"""Columns picked, named and masked by the running service, in the formats of several sinks."""

from __future__ import annotations

import csv
import hmac
import json
from pathlib import Path
from typing import Any

from services.kinetica import KEYED, Program
from services.outside import Service, lines_of, until

TABLE = "ki_home.people"
KEY = "5f0c-planted-key-of-hashes"


def hashed(text: str) -> str:
    return hmac.digest(KEY.encode(), text.encode(), "sha256").hex()


def test_each_sink_gets_its_shape_also_after_a_reload_and_the_key_of_hashes_is_said_nowhere(
    program: Program, tmp_path: Path
) -> None:
    """A table's names and a sink's masks, as JSON, CSV and CloudEvents with their subject."""
    program.create(TABLE, columns=KEYED)
    (tmp_path / "key").write_text(f"{KEY}\n")

    def file(name: str, **more: Any) -> dict[str, Any]:
        return {"type": "file", "path": str(tmp_path / name), **more}

    masked = {"mask": {"number": "hash", "note": "redact"}, "mask_key_file": str(tmp_path / "key")}
    config: dict[str, Any] = {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": TABLE, "rename": {"id": "number"}}],
        "log": {"level": "debug"},
        "sinks": {
            "plain": file("plain.jsonl"),
            "rows": file("rows.csv", format="csv", columns=["note", "number"]),
            "events": file("events.jsonl", format="cloudevents", **masked),
        },
    }
    with Service(tmp_path, config) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, [1, 2], note='a "b",\n c')
        until(
            lambda: all(service.counted("delivered", sink=name) == 2 for name in config["sinks"]),
            "two rows in each file",
            service.said,
        )
        note = 'a "b",\n c'
        assert [event["record"] for event in lines_of(tmp_path / "plain.jsonl")] == [
            {"number": number, "note": note} for number in (1, 2)
        ]
        with (tmp_path / "rows.csv").open(newline="") as rows:
            read = [row for row in csv.reader(rows) if row != ["note", "number"]]
        assert read == [[note, "1"], [note, "2"]]
        events = lines_of(tmp_path / "events.jsonl")
        records = [{"number": hashed(str(number)), "note": "***"} for number in (1, 2)]
        assert [event["data"] for event in events] == records
        assert [json.loads(event["subject"]) for event in events] == [
            {"number": record["number"]} for record in records
        ]

        sinks = {
            "plain": file("plain.jsonl", exclude=["note"]),
            "events": config["sinks"]["events"],
        }
        service.reload({**config, "sinks": sinks})
        until(
            lambda: "rows" not in json.loads(service.page("/readyz"))["sinks"],
            "the reload",
            service.said,
        )
        service.wait_tables(TABLE)
        program.insert(TABLE, [3])
        until(
            lambda: service.counted("delivered", sink="plain") == 3,
            "the third row",
            service.said,
        )
        assert lines_of(tmp_path / "plain.jsonl")[-1]["record"] == {"number": 3}
        said = [service.page(page) for page in ("/readyz", "/metrics", "/", "/api/status")]
        assert not [text for text in (*said, service.log_text()) if KEY in text]
