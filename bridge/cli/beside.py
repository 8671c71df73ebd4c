"""The journal where no service runs: opened by the command itself, under the journal's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from bridge.cli import logs
from bridge.cli.configuration import hide
from bridge.cli.service import NotRunning, Service
from bridge.config import Config
from bridge.journal import Journal, overview
from bridge.supervisor.keeping import make_journal

_Result = TypeVar("_Result")


@contextmanager
def open_journal(config: Config, *, level: str = "warning") -> Iterator[Journal]:
    """Open the journal of a service that does not run.

    Args:
        config: of the service.
        level: of what is logged.

    Raises:
        JournalUnavailable: a service has it, it is not there, or it may not be opened.
    """
    # What the journal logs is for a service's log, but for what a person must know.
    logs.configure(level, config.log.format, hide=hide)
    overview(config.journal.path)  # raises where there is none: a command makes no journal
    with make_journal(config) as journal:
        yield journal


def ask_or_do(
    config: Config, ask: Callable[[Service], _Result], do: Callable[[Journal], _Result]
) -> _Result:
    """Let the running service carry a request out, or do it here where none runs.

    Args:
        config: of the service.
        ask: makes the request.
        do: does it, with the journal open.
    """
    try:
        return ask(Service(config))
    except NotRunning:
        with open_journal(config) as journal:
            return do(journal)
