"""Dead letters as commands and pages show them."""

from __future__ import annotations

import base64
from typing import Any

import orjson

from bridge.events import rfc3339
from bridge.journal import DeadLetter


def letter_fields(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as the members of a JSON object; `orjson` writes it."""
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
