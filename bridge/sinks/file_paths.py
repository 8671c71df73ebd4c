"""Names of files: from a template and a table to a path, and what the files beside it are called.

Beside `orders.jsonl` there may be `orders.1234.jsonl`, closed under the offset of its first event;
`orders.jsonl.notifications.jsonl`; and what is for the sink alone, hidden: `.orders.jsonl%note`. A
percent sign that begins no encoding is in no name that a table makes, so none is taken for another.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from bridge.sinks.names import OF_TABLE, fill

DATE = "{date}"
NOTIFICATIONS = ".notifications.jsonl"
ENDINGS = {"gzip": ".gz", "zstd": ".zst"}

_ENDING_OF_JSON = ".jsonl"
_NOTE = "%note"
_PART = "%part"
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def expand(template: str, table: str) -> str:
    """Put a table's name into a path, such that it cannot name another folder.

    >>> expand("out/{table}.jsonl", "ki_home.a/b")
    'out/ki_home.a%2Fb.jsonl'
    >>> expand("out/{table}/events", "..")
    'out/%2E%2E/events'
    """
    parts = template.split("/")
    for index, part in enumerate(parts):
        filled = fill(part, table, _encode)
        if filled != part and filled in {".", ".."}:
            filled = filled.replace(".", "%2E")
        parts[index] = filled
    return "/".join(parts)


def expand_day(template: str, table: str, day: int) -> str:
    """Put a table's name and a day, counted since the epoch, into a path."""
    # The day first: a table may be called like a placeholder.
    date = f"{datetime.fromtimestamp(day * 86_400, UTC):%Y-%m-%d}"
    return expand(template.replace(DATE, date), table)


def ending_of(template: str) -> str:
    """Return what stands behind the last dot of a template, with it; nothing if a name does.

    >>> ending_of("out/{table}.jsonl"), ending_of("out/{table}"), ending_of("a.b/{name}.{date}")
    ('.jsonl', '', '')
    """
    name = template.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return dot + ending if stem and "}" not in ending else ""


def final_names(path: Path, ending: str, first: int) -> Iterator[Path]:
    """Give the names under which a file may be closed, the best first.

    >>> names = final_names(Path("out/orders.jsonl"), ".jsonl", 12)
    >>> str(next(names)), str(next(names))
    ('out/orders.12.jsonl', 'out/orders.12.2.jsonl')
    """
    if path.name.endswith(NOTIFICATIONS):  # JSON, whatever the rows are
        ending = _ENDING_OF_JSON
    stem = path.name.removesuffix(ending)
    yield path.with_name(f"{stem}.{first}{ending}")
    for number in count(2):
        yield path.with_name(f"{stem}.{first}.{number}{ending}")


def note_of(path: Path) -> Path:
    """Return where it is written down what is known of a file."""
    return path.with_name(f".{path.name}{_NOTE}")


def part_of(path: Path) -> Path:
    """Return where a file is made before it gets its name."""
    return path.with_name(f".{path.name}{_PART}")


def notes_of(template: str) -> Iterator[tuple[Path, Path]]:
    """Find the files of which something may be known in the folders that a template names.

    Returns:
        Each file, be it there or not, with its note.
    """
    folder = template.rpartition("/")[0]
    pattern = "*".join(glob.escape(piece) for piece in _PLACEHOLDER.split(folder)) or "."
    for found in sorted(glob.glob(f"{pattern}/.*{_NOTE}")):  # noqa: PTH207 (any folder)
        note = Path(found)
        yield note.with_name(note.name[1:].removesuffix(_NOTE)), note


def may_be_final(path: str, template: str) -> bool:
    """Tell whether a path may be a name under which another template's file is closed.

    >>> may_be_final("out/orders.12.jsonl", "out/orders.jsonl")
    True
    """
    ending = ending_of(template)
    stem = template.removesuffix(ending)
    parts = [".+" if part in {*OF_TABLE, DATE} else re.escape(part) for part in _split(stem)]
    wanted = rf"{''.join(parts)}\.\d+(\.\d+)?{re.escape(ending)}(\.gz|\.zst)?"
    return re.fullmatch(wanted, path) is not None


def _split(template: str) -> list[str]:
    return re.split(r"(\{[^{}]*\})", template)


def _encode(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
