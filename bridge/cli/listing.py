"""How `ls` commands print: a table to read, or one JSON object a line for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from bridge.errors import excerpt

_WIDEST = 60


def print_json(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print each row as a JSON object in a line of its own."""
    for row in rows:
        print(orjson.dumps(dict(row)).decode())


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their headers, numbers to the right; long texts are cut."""
    print_pages(headers, [rows])


def print_pages(headers: Sequence[str], pages: Iterable[Iterable[Sequence[object]]]) -> None:
    """Print a table page by page; its columns are as wide as those seen so far want."""
    rest = iter(pages)
    texts = [list(headers), *_texts(next(rest, ()))]
    widths = [0] * len(headers)
    while texts:
        for row in texts:
            widths = [max(width, len(cell)) for width, cell in zip(widths, row, strict=True)]
        for row in texts:
            cells = [
                cell.rjust(width) if _is_number(cell) else cell.ljust(width)
                for cell, width in zip(row, widths, strict=True)
            ]
            print("  ".join(cells).rstrip())
        texts = _texts(next(rest, ()))


def _texts(rows: Iterable[Sequence[object]]) -> list[list[str]]:
    return [[excerpt(str(cell), _WIDEST) for cell in row] for row in rows]


def counted(number: int, what: str) -> str:
    """Return a number of things, in words.

    >>> counted(1, "row"), counted(2, "row")
    ('1 row', '2 rows')
    """
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _is_number(cell: str) -> bool:
    return cell.lstrip("-").isdecimal()
