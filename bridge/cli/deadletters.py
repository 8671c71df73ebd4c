"""`deadletters`: what was set aside and why, read beside a running service."""

from __future__ import annotations

import argparse
import base64
from typing import Any

import orjson

from bridge.cli.listing import print_json, print_table
from bridge.cli.main import OK
from bridge.config import find_file, load
from bridge.events import rfc3339
from bridge.journal import DeadLetter, JournalReader, LetterFilter
from bridge.wire.calls import qualified

_HEADERS = ("number", "sink", "table", "offset", "set aside", "attempts", "reason")


def run(arguments: argparse.Namespace) -> int:
    """Print the dead letters that were asked for, oldest first."""
    config = load(find_file(arguments.config))
    with JournalReader(config.journal.path) as reader:
        letters = _letters(reader, arguments)
    if arguments.json:
        print_json(map(_as_json, letters))
    else:
        print_table(_HEADERS, map(_as_row, letters))
    return OK


def _letters(reader: JournalReader, arguments: argparse.Namespace) -> list[DeadLetter]:
    table = qualified(arguments.table) if arguments.table is not None else None
    which = LetterFilter(arguments.sink, table, arguments.since, after=arguments.after)
    found: list[DeadLetter] = []
    while page := reader.dead_letters(which, limit=arguments.limit - len(found)):
        found += page
        which = which._replace(after=page[-1].number)
    return found


def _as_row(letter: DeadLetter) -> tuple[object, ...]:
    return (
        letter.number,
        letter.sink,
        letter.table,
        letter.offset,
        rfc3339(letter.set_aside),
        letter.attempts,
        letter.reason,
    )


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "number": letter.number,
        "sink": letter.sink,
        "table": letter.table,
        "offset": letter.offset,
        "id": letter.id,
        "time": rfc3339(letter.time),
        "set_aside": rfc3339(letter.set_aside),
        "reason": letter.reason,
        "attempts": letter.attempts,
        "answer": letter.answer,
    }
    if letter.raw is not None:
        shown["raw"] = base64.b64encode(letter.raw).decode()
    else:
        shown["value"] = orjson.Fragment(letter.value) if letter.value is not None else None
    return shown
