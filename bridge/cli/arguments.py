"""The arguments of the commands that look into a service, or ask something of it."""

from __future__ import annotations

import argparse

from bridge.cli.examples import example
from bridge.cli.moments import moment

Commands = argparse._SubParsersAction  # it has no public name


def add(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    text: str,
    *,
    config: bool = False,
    module: str | None = None,
) -> argparse.ArgumentParser:
    """Add a command.

    Args:
        commands: beside which others.
        name: its word.
        text: what it does, for the list of commands.
        config: whether it takes the configuration's file.
        module: which carries it out, None for that of its name.
    """
    parser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.epilog = example(parser.prog)
    parser.set_defaults(module=module or name)
    if config:
        parser.add_argument(
            "-c",
            "--config",
            metavar="FILE",
            help="default: $KINETICA_BRIDGE_CONFIG, else ./bridge.yaml",
        )
    return parser


def add_journal(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add `journal`."""
    journal = add(commands, "journal", "what is stored, and where each sink stands")
    inner = journal.add_subparsers(required=True, metavar="COMMAND", dest="action")
    listing = add(inner, "ls", "segments, sinks and their lanes", config=True, module="journal")
    add_json(listing)
    shown = add(inner, "show", "one event, and what became of it", config=True, module="journal")
    shown.add_argument("offset", type=natural, metavar="OFFSET")
    add_json(shown)
    replay = add(inner, "replay", "deliver it again", config=True, module="redelivery")
    replay.set_defaults(letters=False)
    replay.add_argument("--sink", metavar="ID", help="the sink whose events are meant")
    replay.add_argument("--table", metavar="T", help="of this table only")
    begin = replay.add_mutually_exclusive_group()
    begin.add_argument("--since", type=moment, metavar="TIME", help="received since; 2h is an age")
    begin.add_argument("--from", dest="start", type=natural, metavar="OFFSET", help="start here")
    replay.add_argument("--until", type=moment, metavar="TIME", help="received before")
    _add_redelivery(replay)
    other = replay.add_mutually_exclusive_group()
    other.add_argument("--watch", type=natural, metavar="N", help="show replay N until it is over")
    other.add_argument("--stop", type=natural, metavar="N", help="end replay N where it is")


def add_deadletters(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add `deadletters`."""
    letters = add(commands, "deadletters", "events set aside, with the reason")
    inner = letters.add_subparsers(required=True, metavar="COMMAND", dest="action")
    listing = add(inner, "ls", "one line each", config=True, module="deadletters")
    add_letter_filters(listing)
    add_json(listing)
    shown = add(inner, "show", "one, with its event", config=True, module="deadletters")
    shown.add_argument("number", type=natural, metavar="NUMBER")
    add_json(shown)
    dropping = add(inner, "drop", "delete some for good", config=True, module="deadletters")
    add_letter_choice(dropping)
    add_json(dropping)
    replay = add(inner, "replay", "deliver some again", config=True, module="redelivery")
    replay.set_defaults(letters=True)
    add_letter_choice(replay)
    _add_redelivery(replay)


def add_gaps(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add `gaps`."""
    gaps = add(commands, "gaps", "spans that may have missed events: why open, and to be closed")
    inner = gaps.add_subparsers(required=True, metavar="COMMAND", dest="action")
    listing = add(inner, "ls", "the open ones, one line each", config=True, module="gaps")
    listing.add_argument("--table", metavar="T", help="of this table only")
    which = listing.add_mutually_exclusive_group()
    which.add_argument("--open", action="store_true", help="those that are open, the default")
    which.add_argument("--all", action="store_true", help="also those closed, as far as stored")
    add_json(listing)
    shown = add(inner, "show", "one, with what told of it", config=True, module="gaps")
    shown.add_argument("gap", metavar="GAP")
    add_json(shown)
    for name, text in (
        ("close", "read the table now, and wait for the end"),
        ("accept", "let it be open no longer, as it is"),
    ):
        action = add(inner, name, text, config=True, module="gaps")
        action.add_argument("gaps", nargs="+", metavar="GAP")
        add_json(action)


def _add_redelivery(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="ID", help="another sink, that gets them")
    parser.add_argument(
        "--rate", type=natural, default=1000, metavar="N", help="events a second; 0: no limit"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be delivered")
    add_json(parser)


def add_sinks(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add `sinks`."""
    sinks = add(commands, "sinks", "how each sink stands, and what can be done about it")
    inner = sinks.add_subparsers(required=True, metavar="COMMAND", dest="action")
    listing = add(inner, "ls", "a line for each sink and table", config=True, module="sinks")
    add_json(listing)
    for name, text, whole in (
        ("pause", "let a sink, or a table of it, rest until it is resumed", True),
        ("resume", "let it go on", True),
        ("skip", "set the first waiting event of a table aside by hand", False),
    ):
        action = add(inner, name, text, config=True, module="sinks")
        action.add_argument("sink", metavar="SINK")
        help_ = "this table alone" if whole else "whose first event"
        action.add_argument("--table", metavar="T", required=not whole, help=help_)
        add_json(action)


def add_letter_filters(parser: argparse.ArgumentParser) -> None:
    """Add the filters of dead letters."""
    parser.add_argument("--sink", metavar="ID", help="of this sink only")
    parser.add_argument("--table", metavar="T", help="of this table only")
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="set aside since then; 2h is an age"
    )
    parser.add_argument("--reason", metavar="TEXT", help="with this text in the reason")
    parser.add_argument("--limit", type=natural, metavar="N", help="at most so many")
    parser.add_argument("--after", type=natural, metavar="NUMBER", help="with higher numbers")


def add_letter_choice(parser: argparse.ArgumentParser) -> None:
    """Add what says which dead letters are meant: numbers, or `--all` with the filters."""
    parser.add_argument("numbers", nargs="*", type=natural, metavar="NUMBER")
    parser.add_argument("--all", action="store_true", help="all that the filters let through")
    add_letter_filters(parser)
    parser.set_defaults(refuse=lambda given: _refuse_choice(parser, given))


def _refuse_choice(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """End with a usage error where it is not clear which dead letters are meant."""
    filters = (given.sink, given.table, given.since, given.reason, given.limit, given.after)
    filtered = any(one is not None for one in filters)
    if given.numbers and (given.all or filtered):
        parser.error("give numbers, or --all with filters, not both")
    if not given.numbers and not given.all:
        parser.error("give numbers, or --all" + (" beside the filters" if filtered else ""))


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def natural(text: str) -> int:
    """Read a whole number from 0 on.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    # Nothing of ours is numbered beyond 63 bits.
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)
