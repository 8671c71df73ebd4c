"""The subcommands and their arguments; each is carried out in a module of its own name."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from bridge import __version__
from bridge.cli.arguments import (
    add,
    add_deadletters,
    add_gaps,
    add_journal,
    add_json,
    add_sinks,
    natural,
)
from bridge.cli.signals import Signals
from bridge.errors import BridgeError, ConfigurationError, cause_of

OK, RUNTIME, USAGE, ENVIRONMENT = 0, 1, 2, 3

# Commands that run until a signal ends them; what they are given beside the arguments.
_LASTING = frozenset({"run", "demo", "emulator"})


def carry_out(argv: Sequence[str] | None, signals: Signals) -> int:
    """Carry out a command line and return its exit code.

    Args:
        argv: the arguments, None for those of the process.
        signals: installed; given back where the command has no use for them.
    """
    arguments = _parsed(argv)
    if hasattr(arguments, "refuse"):
        arguments.refuse(arguments)
    if arguments.module not in _LASTING:
        signals.give_back()
    elif signals.stop:
        return OK
    # Imports and sinks' constructors take seconds on a busy machine, and nothing runs yet.
    signals.idle = True
    lasting = arguments.module in _LASTING
    try:
        # Imported when asked for: `health` runs every few seconds and needs nearly nothing.
        run = import_module(f"bridge.cli.{arguments.module}").run
        code: int = run(arguments, signals) if lasting else run(arguments)
        if not lasting:
            sys.stdout.flush()  # here, where a reader who has left is no error
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # noqa: BLE001 (what is no failure of the command is told as a fault)
        code = _code_of(error, lasting=lasting)
    return code


def _code_of(error: Exception, *, lasting: bool) -> int:
    """Say why a command failed, with a traceback where that is a fault of ours; its exit code."""
    if isinstance(error, ConfigurationError):
        print(error, file=sys.stderr)
        return USAGE
    if isinstance(error, OSError) and lasting:
        return _tell_fault(error)  # no pipe of its own is a reason to end
    if isinstance(error, BrokenPipeError):
        _leave_quietly()
        return OK
    if not isinstance(error, BridgeError | OSError):
        return _tell_fault(error)
    print(f"kinetica-bridge: {_hidden(cause_of(error))}", file=sys.stderr)
    return RUNTIME


def _tell_fault(error: Exception) -> int:
    print(_hidden("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    return RUNTIME


def _hidden(text: str) -> str:
    from bridge.cli.configuration import hide  # noqa: PLC0415 (models take a while to import)

    return hide(text)


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    try:
        return make_parser().parse_args(argv)
    except SystemExit:  # it has printed help, or what is wrong
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _leave_quietly()
        raise


def _leave_quietly() -> None:
    """Let the interpreter flush into nothing: the reader of the pipe has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="kinetica-bridge",
        description="Streams the rows that land in Kinetica tables to Kafka, webhooks, files, "
        "PostgreSQL and Redis.",
    )
    parser.add_argument("--version", action="version", version=f"kinetica-bridge {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    service = add(commands, "run", "the service", config=True)
    service.add_argument(
        "--watch",
        action="store_true",
        help="reload by itself when the configuration, or a file that it names, changes",
    )

    _add_check(commands)

    demo = add(commands, "demo", "everything on one machine, no Kinetica needed")
    demo.add_argument("--seconds", type=_seconds, metavar="N", help="end by itself after N seconds")

    tail = add(commands, "tail", "print a table's events, from new ones on", config=True)
    tail.add_argument("table", metavar="TABLE")
    tail.add_argument("--from", dest="start", type=natural, metavar="OFFSET", help="start here")
    tail.add_argument("--count", type=natural, metavar="N", help="end after N events")

    add(commands, "health", "exit 0 if the service on admin.listen is alive", config=True)

    status = add(commands, "status", "tables, sinks, gaps and journal on one screen", config=True)
    status.add_argument("--watch", action="store_true", help="again and again, until interrupted")
    add_json(status)

    snapshot = add(commands, "snapshot", "deliver all rows of a table, as they stand", config=True)
    snapshot.add_argument("table", metavar="TABLE")
    snapshot.add_argument("--stop", action="store_true", help="end the one that is under way")
    add_json(snapshot)

    add_journal(commands)
    add_deadletters(commands)
    add_gaps(commands)
    add_sinks(commands)

    emulator = add(commands, "emulator", "a stand-in Kinetica")
    emulator.add_argument("--host", default="127.0.0.1", metavar="H")
    emulator.add_argument("--port", type=_port, default=9191, metavar="N", help="0 is a free one")
    emulator.add_argument("--monitor-port", type=_port, default=9002, metavar="N", help="likewise")
    # The feed brings no credentials, so it cannot feed an emulator that demands them.
    either = emulator.add_mutually_exclusive_group()
    either.add_argument("--user", metavar="NAME", help="demand this user name")
    emulator.add_argument("--password", metavar="TEXT", help="and this password")
    either.add_argument("--weather", action="store_true", help="feed it the demo's table")

    add(commands, "schema", "print the JSON Schema of the configuration")

    completion = add(commands, "completion", "print what lets a shell complete this command")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], metavar="SHELL")
    return parser


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = add(
        commands, "check", "validate the configuration, then try every connection", config=True
    )
    extent = check.add_mutually_exclusive_group()
    extent.add_argument("--offline", action="store_true", help="validate only")
    extent.add_argument(
        "--sample",
        action="store_true",
        help="then show one event of each table as each of its sinks would get it",
    )
    add_json(check)


def _port(text: str) -> int:
    number = natural(text)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"{number} is above 65535")
    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
