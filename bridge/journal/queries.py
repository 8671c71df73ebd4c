"""The statements of `queries.sql` by name, and the two schemas."""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


def _text(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _by_name(text: str) -> dict[str, str]:
    _, *parts = _NAME.split(text)
    return {
        name: _COMMENT.sub("", body).strip()
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


QUERIES = _by_name(_text("queries.sql"))
SEGMENT_SCHEMA = _text("segment.sql")
STATE_SCHEMA = _text("state.sql")
