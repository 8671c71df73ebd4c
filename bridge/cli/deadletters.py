"""`deadletters`: what was set aside and why, shown and dropped, beside a running service."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlencode

import orjson

from bridge.cli.beside import ask_or_do
from bridge.cli.configuration import load
from bridge.cli.listing import counted, print_json, print_pages
from bridge.cli.main import OK, RUNTIME
from bridge.cli.service import Service
from bridge.config import Config, find_file
from bridge.config.named import known_sink, watched_table
from bridge.events import rfc3339
from bridge.journal import DeadLetter, Journal, JournalReader, LetterFilter
from bridge.supervisor.letters import letter_fields

_HEADERS = ("number", "sink", "table", "offset", "set aside", "attempts", "reason")
_PAGE = 1000
_AT_ONCE = 20_000


def run(arguments: argparse.Namespace) -> int:
    """Carry out `deadletters ls`, `show` or `drop`."""
    config = load(find_file(arguments.config))
    match arguments.action:
        case "show":
            return _show(config, arguments)
        case "drop":
            return _drop(config, arguments)
        case _:
            return _list(config, arguments)


def letter_filter(config: Config, arguments: argparse.Namespace) -> LetterFilter:
    """Return the filter that arguments ask for.

    Raises:
        ConfigurationError: no such sink or table is configured, nor has any dead letters.
    """
    sink, table = arguments.sink, arguments.table
    if sink is not None or table is not None:
        with JournalReader(config.journal.path) as reader:
            there = reader.letter_sums()
        if sink is not None:
            known_sink(config, sink, (key[0] for key in there))
        if table is not None:
            table = watched_table(config, table, (key[1] for key in there))
    return LetterFilter(sink, table, arguments.since, arguments.reason, arguments.after)


def _list(config: Config, arguments: argparse.Namespace) -> int:
    which = letter_filter(config, arguments)
    with JournalReader(config.journal.path) as reader:
        pages = _pages(reader, which, arguments.limit)
        if arguments.json:
            for page in pages:
                print_json(map(letter_fields, page))
        else:
            print_pages(_HEADERS, (map(_as_row, page) for page in pages))
    return OK


def _pages(
    reader: JournalReader, which: LetterFilter, limit: int | None
) -> Iterator[list[DeadLetter]]:
    """Yield page after page: a broken receiver can leave millions."""
    left = sys.maxsize if limit is None else limit
    while left > 0:
        page = reader.dead_letters(which, limit=min(_PAGE, left))
        if not page:
            return
        yield page
        left -= len(page)
        which = which._replace(after=page[-1].number)


def _show(config: Config, arguments: argparse.Namespace) -> int:
    which = LetterFilter(numbers=frozenset((arguments.number,)))
    with JournalReader(config.journal.path) as reader:
        found = reader.dead_letters(which)
    if not found:
        print(f"no dead letter has the number {arguments.number}", file=sys.stderr)
        return RUNTIME
    fields = letter_fields(found[0])
    if arguments.json:
        print_json([fields])
        return OK
    value = fields.pop("value", None)
    for name, text in fields.items():
        if text is not None:
            print(f"{name.replace('_', ' '):<10}{text}")
    if value is not None:
        event = orjson.loads(found[0].value or b"null")
        print(orjson.dumps(event, option=orjson.OPT_INDENT_2).decode())
    return OK


def _drop(config: Config, arguments: argparse.Namespace) -> int:
    numbers: list[int] = sorted(set(arguments.numbers))
    if numbers:
        cuts = range(0, len(numbers), _PAGE)
        steps = [LetterFilter(numbers=frozenset(numbers[at : at + _PAGE])) for at in cuts]
    else:
        steps = [letter_filter(config, arguments)]

    def ask(service: Service) -> int:
        return _drop_all(
            steps,
            arguments.limit,
            lambda which, most: service.post(f"/api/deadletters/drop?{_query(which, most)}")[
                "dropped"
            ],
        )

    def do(journal: Journal) -> int:
        return _drop_all(steps, arguments.limit, journal.letters.drop)

    dropped = ask_or_do(config, ask, do)
    if arguments.json:
        print_json([{"dropped": dropped}])
    else:
        print(f"dropped {counted(dropped, 'dead letter')}")
    if numbers and dropped < len(numbers):
        missing = counted(len(numbers) - dropped, "number")
        print(f"{missing} of those given: no such dead letter", file=sys.stderr)
        return RUNTIME
    return OK


def _drop_all(
    steps: Sequence[LetterFilter], limit: int | None, drop: Callable[[LetterFilter, int], int]
) -> int:
    """Drop some at a time, so that no answer keeps anybody waiting; return how many went."""
    dropped = 0
    for which in steps:
        gone = most = -1
        while gone == most != 0:
            most = _AT_ONCE if limit is None else min(_AT_ONCE, limit - dropped)
            gone = drop(which, most)
            dropped += gone
    return dropped


def _query(which: LetterFilter, limit: int | None) -> str:
    values = {
        "sink": which.sink,
        "table": which.table,
        "since": None if which.since is None else rfc3339(which.since),
        "reason": which.reason,
        "after": which.after,
        "limit": limit,
        "numbers": None if which.numbers is None else ",".join(map(str, sorted(which.numbers))),
        "all": "true" if which.numbers is None else None,
    }
    return urlencode({name: value for name, value in values.items() if value is not None})


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
