"""`journal replay` and `deadletters replay`: what is stored is delivered again.

The running service does it, beside its live stream. Where none runs, this process does, under
the journal's lock. Either way it is written down how far it is: who interrupts the command
interrupts a watch, and not the replay.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bridge.cli import logs
from bridge.cli.beside import ask_or_do, open_journal
from bridge.cli.configuration import hide, load
from bridge.cli.listing import counted, print_json
from bridge.cli.main import OK, RUNTIME
from bridge.cli.progress import Progress
from bridge.cli.service import NotRunning, Service
from bridge.cli.trial import dry_run, letters_dry_run
from bridge.config import Config, find_file
from bridge.errors import ConfigurationError
from bridge.supervisor.alone import begin_alone, carry_out, stop_alone
from bridge.supervisor.replays import Wish, replay_fields

_POLL_SECONDS = 0.2
_SAY_SECONDS = 1.0

_Fields = dict[str, Any]
_Look = Callable[[int], _Fields]


def run(arguments: argparse.Namespace) -> int:
    """Begin, watch or stop a replay; 1 where not all was delivered."""
    config = load(find_file(arguments.config))
    logs.configure("error", config.log.format, hide=hide)
    if getattr(arguments, "stop", None) is not None:
        return _stop(config, arguments.stop, as_json=arguments.json)
    if getattr(arguments, "watch", None) is not None:
        service = Service(config)
        return _watch(arguments, [arguments.watch], lambda n: service.get(f"/api/replays/{n}"))
    wish = _wish(arguments).checked(config)
    if arguments.dry_run:
        told = letters_dry_run(config, wish) if wish.letters else dry_run(config, wish)
        return _tell_trial(told, as_json=arguments.json)
    service = Service(config)
    try:
        begun = service.post("/api/replays", wish.to_query())["replays"]
    except NotRunning:
        return _alone(config, wish, arguments)
    unknown = _say_unknown(wish, sum(each["expected"] for each in begun))
    numbers = [each["replay"] for each in begun]
    code = _watch(arguments, numbers, lambda n: service.get(f"/api/replays/{n}"))
    return code or (RUNTIME if unknown else OK)


def _wish(arguments: argparse.Namespace) -> Wish:
    """Return what is asked for.

    Raises:
        ConfigurationError: it is not clear what.
    """
    letters: bool = arguments.letters
    if not letters and arguments.sink is None:
        raise ConfigurationError(["journal replay wants --sink ID, --watch N or --stop N"])
    given = {
        name: getattr(arguments, name, None)
        for name in ("sink", "to", "table", "since", "until", "start", "reason", "after", "limit")
    }
    numbers = tuple(arguments.numbers) if letters and arguments.numbers else None
    return Wish(**given, rate=arguments.rate, letters=letters, numbers=numbers)


def _say_unknown(wish: Wish, expected: int) -> bool:
    """Say how many of the numbers no dead letter has; return whether there are such."""
    unknown = len(set(wish.numbers or ())) - expected
    if unknown > 0:
        print(f"{counted(unknown, 'number')} of those given: no such dead letter", file=sys.stderr)
    return unknown > 0


def _watch(arguments: argparse.Namespace, numbers: Sequence[int], look: _Look) -> int:
    """Show replays until they are over."""
    shown: list[_Fields] = []
    try:
        shown.extend(_one(number, look, as_json=arguments.json) for number in numbers)
    except KeyboardInterrupt:
        which = " ".join(map(str, numbers[len(shown) :]))
        print(
            f"\nreplay {which} goes on; `kinetica-bridge journal replay --watch N` shows it, "
            "and --stop N ends it",
            file=sys.stderr,
        )
        return 130
    return _tell(shown, as_json=arguments.json)


def _one(number: int, look: _Look, *, as_json: bool, pause: float = _POLL_SECONDS) -> _Fields:
    said, said_at, waits = -1, 0.0, None
    with Progress(f"replay {number}", "events") as progress:
        while True:
            fields = look(number)
            fields["why"] = fields["why"] and hide(fields["why"])
            if fields["state"] != "running":
                return fields
            done = fields["replayed"] + fields["refused"]
            progress.show(done, fields["expected"], fields["why"])
            now = time.monotonic()
            if as_json and done != said and now - said_at >= _SAY_SECONDS:
                print_json([fields])
                sys.stdout.flush()
                said, said_at = done, now
            if fields["why"] != waits and not as_json:
                waits = fields["why"]
                if waits is not None and not progress.shows:
                    print(f"replay {number} waits: {waits}", file=sys.stderr)
            time.sleep(pause)


def _tell(shown: Sequence[_Fields], *, as_json: bool) -> int:
    if not shown and as_json:
        print_json([dict.fromkeys(("expected", "replayed", "refused", "gone"), 0)])
    elif not shown:
        print(f"{counted(0, 'event')} delivered again")
    well = True
    for fields in shown:
        refused, gone = fields["refused"], fields["gone"]
        well &= fields["state"] == "done" and not refused and not gone
        if as_json:
            print_json([fields])
            continue
        told = f"{counted(fields['replayed'], 'event')} delivered again to {fields['sink']}"
        if refused:
            stay = "stay dead letters" if fields["of"] == "deadletters" else "are dead letters"
            told += f", {refused:,} refused ({stay})"
        if gone:
            told += f", {gone:,} not there any more"
        if fields["state"] == "stopped":
            told += f"; stopped: {fields['why']}"
        print(told)
    return OK if well else RUNTIME


def _tell_trial(told: _Fields, *, as_json: bool) -> int:
    if as_json:
        print_json([told])
        return OK
    if "letters" in told:
        by_sink = ", ".join(f"{count:,} of {sink}" for sink, count in told["by_sink"].items())
        of = f": {by_sink}" if by_sink else ""
        print(f"{counted(told['letters'], 'dead letter')} would be delivered again{of}")
        return OK
    events = counted(told["events"], "event")
    print(f"{events} would be delivered again to {told['sink']}")
    if told["events"]:
        print(f"received from {told['since']} to {told['until']}")
    for span in told["missing"]:
        print(f"offsets {span['first']} to {span['last']} are not there: {span['reason']}")
    return OK


def _stop(config: Config, number: int, *, as_json: bool) -> int:
    fields = ask_or_do(
        config,
        lambda service: service.delete(f"/api/replays/{number}"),
        lambda journal: replay_fields(stop_alone(journal, number)),
    )
    if as_json:
        print_json([fields])
    else:
        print(f"replay {number}: {fields['state']}, {counted(fields['replayed'], 'event')} went")
    return OK


def _alone(config: Config, wish: Wish, arguments: argparse.Namespace) -> int:
    """Carry a wish out in this process."""
    with open_journal(config, level="error") as journal:
        begun = begin_alone(config, journal, wish)
        unknown = _say_unknown(wish, sum(each.expected for each in begun))
        shown: list[_Fields] = []
        try:
            for replay in begun:
                steps = carry_out(config, journal, replay)

                def look(_: int, steps: Iterator[_Fields] = steps) -> _Fields:
                    return next(steps)

                fields = _one(replay.number, look, as_json=arguments.json, pause=0.0)
                shown.append(fields)
        except KeyboardInterrupt:
            print(
                "\nnot finished; it goes on when the service starts. "
                "`kinetica-bridge journal replay --stop N` ends it: "
                + ", ".join(str(each.number) for each in begun[len(shown) :]),
                file=sys.stderr,
            )
            return 130
    return _tell(shown, as_json=arguments.json) or (RUNTIME if unknown else OK)
