"""`deadletters`: what was set aside and why, read beside a running service."""

from __future__ import annotations

import argparse
import sys

import orjson

from bridge.cli.main import OK
from bridge.config import find_file, load
from bridge.events import rfc3339
from bridge.journal import DeadLetter, JournalReader

# A broken receiver can leave millions; the newest ones tell what is wrong.
_MOST = 10_000


def run(arguments: argparse.Namespace) -> int:
    """Print a JSON object a line for each dead letter, oldest first."""
    config = load(find_file(arguments.config))
    with JournalReader(config.journal.path) as reader:
        letters = reader.dead_letters(arguments.sink, _MOST)
    if len(letters) == _MOST:
        print(f"only the newest {_MOST} are shown", file=sys.stderr)
    for letter in reversed(letters):
        print(orjson.dumps(_shown(letter)).decode())
    return OK


def _shown(letter: DeadLetter) -> dict[str, object]:
    shown: dict[str, object] = {
        "number": letter.number,
        "sink": letter.sink,
        "table": letter.table,
        "offset": letter.offset,
        "id": letter.id,
        "time": rfc3339(letter.time),
        "set_aside": rfc3339(letter.set_aside),
        "reason": letter.reason,
    }
    if letter.value is not None:
        shown["event"] = orjson.Fragment(letter.value)
    if letter.raw is not None:
        shown["bytes"] = letter.raw.hex()
    return shown
