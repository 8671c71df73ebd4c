"""The arguments of `journal replay` and `deadletters replay`."""

from __future__ import annotations

import argparse

from bridge.cli.moments import moment


def add_journal_replay(replay: argparse.ArgumentParser) -> None:
    """Add those of `journal replay`."""
    replay.set_defaults(letters=False)
    replay.add_argument("--sink", metavar="ID", help="the sink whose events are meant")
    replay.add_argument("--to", metavar="ID", help="another sink, that gets them")
    replay.add_argument("--table", metavar="T", help="of this table only")
    begin = replay.add_mutually_exclusive_group()
    begin.add_argument("--since", type=moment, metavar="TIME", help="received since; 2h is an age")
    begin.add_argument("--from", dest="start", type=_natural, metavar="OFFSET", help="start here")
    replay.add_argument("--until", type=moment, metavar="TIME", help="received before")
    _add_common(replay)
    other = replay.add_mutually_exclusive_group()
    other.add_argument("--watch", type=_natural, metavar="N", help="show replay N until it is over")
    other.add_argument("--stop", type=_natural, metavar="N", help="end replay N where it is")


def add_letters_replay(replay: argparse.ArgumentParser) -> None:
    """Add those of `deadletters replay`."""
    replay.set_defaults(letters=True)
    replay.add_argument("numbers", nargs="*", type=_natural, metavar="NUMBER")
    replay.add_argument("--all", action="store_true", help="all that the filters let through")
    replay.add_argument("--sink", metavar="ID", help="of this sink only")
    replay.add_argument("--table", metavar="T", help="of this table only")
    replay.add_argument(
        "--since", type=moment, metavar="TIME", help="set aside since then; 2h is an age"
    )
    replay.add_argument("--reason", metavar="TEXT", help="with this text in the reason")
    replay.add_argument("--to", metavar="ID", help="another sink, that gets them")
    _add_common(replay)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rate", type=_natural, default=1000, metavar="N", help="events a second; 0: no limit"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be delivered")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)
