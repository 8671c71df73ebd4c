"""What is asked to be delivered again: a span of the journal, or dead letters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bridge.config import Config
from bridge.config.named import known_sink, watched_table
from bridge.config.names import qualified
from bridge.errors import BridgeError, ConfigurationError
from bridge.events import rfc3339
from bridge.journal import Journal, JournalReader, LetterFilter, Letters, Replay
from bridge.supervisor.workers import SinkWorkers
from bridge.units import parse_moment

DEFAULT_RATE = 1000  # events a second


@dataclass(frozen=True, slots=True)
class Wish:
    """A replay as somebody asks for it.

    Attributes:
        sink: whose events; of dead letters None for those of any sink.
        to: the sink that gets them, None for the one whose they are.
        table: of this one alone.
        since: received then or later, microseconds; of dead letters: set aside.
        until: received before then.
        start: from this offset on.
        rate: events a second, 0 for as many as go.
        letters: whether dead letters are meant.
        reason: of dead letters: with this text in their reason.
        numbers: of dead letters: these alone.
        after: of dead letters: with higher numbers.
        limit: of dead letters: at most so many.
    """

    sink: str | None = None
    to: str | None = None
    table: str | None = None
    since: int | None = None
    until: int | None = None
    start: int | None = None
    rate: int = DEFAULT_RATE
    letters: bool = False
    reason: str | None = None
    numbers: tuple[int, ...] | None = None
    after: int | None = None
    limit: int | None = None

    def to_query(self) -> dict[str, str]:
        """Return it as the parameters of a request."""
        given = {name: getattr(self, name) for name in self.__slots__}
        query = {name: json.dumps(value) for name, value in given.items() if value is not None}
        if self.numbers is not None:  # there may be tens of thousands, and a form has its limit
            query["numbers"] = ",".join(map(str, self.numbers))
        return query

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Wish:
        """Read the parameters of a request.

        Raises:
            ConfigurationError: one of them cannot be.
        """
        unknown = query.keys() - set(cls.__slots__)
        if unknown:
            raise ConfigurationError([f"there is no parameter {min(unknown)}"])
        values: dict[str, Any] = {}
        for name, text in query.items():
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                value = text
            if name in ("since", "until") and isinstance(value, str):
                value = _moment(name, value)
            elif name == "numbers":
                value = tuple(value) if isinstance(value, list) else _numbers(text)
            kinds = _KINDS[name]
            if kinds == _TEXT and not isinstance(value, str):
                value = text  # it looks like a number, say
            if not isinstance(value, kinds) or (bool not in kinds and isinstance(value, bool)):
                raise ConfigurationError([f"{name} cannot be {text}"])
            values[name] = value
        given = (*values.get("numbers", ()), *(v for v in values.values() if type(v) is int))
        if not all(isinstance(number, int) and 0 <= number < 2**63 for number in given):
            raise ConfigurationError(["numbers are whole, from 0 on, and below 2^63"])
        return cls(**values)

    def checked(self, config: Config) -> Wish:
        """Return it with the table's qualified name.

        Raises:
            ConfigurationError: it names what is not configured, or what cannot be.
        """
        # The dead letters of a sink that is gone may go to another one.
        named = (self.to,) if self.letters and self.to else (self.sink, self.to)
        for name in named:
            if name is not None:
                known_sink(config, name)
        if self.since is not None and self.until is not None and self.since > self.until:
            raise ConfigurationError(["--since is later than --until"])
        if self.sink is None and not self.letters:
            raise ConfigurationError(["a sink has to be named"])
        if self.table is None:
            return self
        table = qualified(self.table) if self.letters else watched_table(config, self.table)
        entry, target = config.entry(table), self.to or self.sink
        if entry is not None and target is not None and target not in entry.sinks:
            raise ConfigurationError([f"{table} is not for {target}: its sinks do not name it"])
        return replace(self, table=table)

    def tables(self, config: Config, known: Collection[str]) -> frozenset[str]:
        """Return the tables whose events are meant: those of both sinks.

        Args:
            config: that the wish was checked against.
            known: the tables that there are.
        """
        sinks = {self.sink, self.to} - {None}
        entries = {table: config.entry(table) for table in known if self.table in (None, table)}
        return frozenset(
            table
            for table, entry in entries.items()
            if entry is not None and sinks <= set(entry.sinks)
        )

    def filter(self) -> LetterFilter:
        """Return which dead letters are meant."""
        numbers = None if self.numbers is None else frozenset(self.numbers)
        return LetterFilter(
            self.sink, self.table, self.since, self.reason, after=self.after, numbers=numbers
        )


_TEXT, _NUMBER = (str,), (int,)
_KINDS: Mapping[str, tuple[type, ...]] = {
    "sink": _TEXT,
    "to": _TEXT,
    "table": _TEXT,
    "since": _NUMBER,
    "until": _NUMBER,
    "start": _NUMBER,
    "rate": _NUMBER,
    "letters": (bool,),
    "reason": _TEXT,
    "numbers": (tuple,),
    "after": _NUMBER,
    "limit": _NUMBER,
}


def _moment(name: str, text: str) -> int:
    try:
        return parse_moment(text)
    except ValueError as error:
        raise ConfigurationError([f"{name}: {error}"]) from None


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, text.split(",")))
    except ValueError:
        raise ConfigurationError([f"numbers are like 1,2,3, not {text}"]) from None


def begin(wish: Wish, config: Config, known: Collection[str], journal: Journal) -> list[Replay]:
    """Begin what somebody asks for: one replay, or of dead letters one for each sink.

    Where filters let no dead letter through there is none to begin.

    Args:
        wish: checked.
        config: what runs.
        known: the tables that there are.
        journal: open.

    Raises:
        BridgeError: there is nothing to replay, or it could not be written.
    """
    if wish.letters:
        return _begin_letters(wish, config, journal)
    sink = wish.to or wish.sink or ""
    tables = wish.tables(config, known)
    if not tables:
        raise BridgeError(f"no table is for {wish.sink}" + (f" and {sink}" if wish.to else ""))
    stats = journal.stats()
    first = wish.start or 0
    if wish.since is not None:
        first = max(first, journal.offset_at(wish.since))
    end = stats.head if wish.until is None else journal.offset_until(wish.until)
    first = max(first, stats.oldest)
    if first >= end:
        raise BridgeError("nothing is stored of that span")
    events = config.sinks[sink].taken
    return [journal.replays.begin(sink, tables, first, end, events=events, rate=wish.rate)]


def _begin_letters(wish: Wish, config: Config, journal: Journal) -> list[Replay]:
    with journal.reader() as reader:
        counts, last = letters_meant(reader, wish, config)
    if not counts and wish.numbers:
        more = f" or {len(wish.numbers) - 3:,} more" if len(wish.numbers) > 3 else ""
        has = f"{' or '.join(map(str, wish.numbers[:3]))}{more}"
        raise BridgeError(f"no dead letter has the number {has}")
    gone = sorted(counts.keys() - config.sinks.keys())
    if gone and wish.to is None:
        raise BridgeError(
            f"sink {gone[0]} is not configured any more", hint="name another one with --to"
        )
    rate, which = wish.rate, wish.filter()
    if counts and wish.to is not None:
        letters = Letters(which, last)
        return [journal.replays.begin_letters(wish.to, letters, counts.total(), rate=rate)]
    return [
        journal.replays.begin_letters(
            sink, Letters(which._replace(sink=sink), last), count, rate=rate
        )
        for sink, count in sorted(counts.items())
    ]


def letters_meant(reader: JournalReader, wish: Wish, config: Config) -> tuple[Counter[str], int]:
    """Return how many dead letters of each sink are meant, and the last number.

    Args:
        reader: of the journal.
        wish: what is asked for.
        config: says which tables are for `wish.to`.

    Raises:
        BridgeError: they are all of tables that are not for it.
    """
    lanes, last = reader.count_letters(wish.filter(), wish.limit)
    counts: Counter[str] = Counter()
    for (sink, _), count in lanes.items():
        counts[sink] += count
    entries = {table: config.entry(table) for _, table in sorted(lanes)}
    allowed = [table for table, entry in entries.items() if entry and wish.to in entry.sinks]
    if entries and wish.to is not None and not allowed:
        named = ", ".join(entries)
        raise BridgeError(f"nothing goes to {wish.to}: the sinks of {named} do not name it")
    return counts, last


class ReplayDesk:
    """Takes requests for replays, and shows them. Any thread may call.

    Args:
        journal: of the service.
        config: gives the configuration that runs, None while none does.
        tables: gives the tables that there are.
        workers: gives the sinks' workers, None while there are none.
    """

    def __init__(
        self,
        journal: Journal,
        config: Callable[[], Config | None],
        tables: Callable[[], Collection[str]],
        workers: Callable[[], SinkWorkers | None],
    ) -> None:
        self._journal = journal
        self._config = config
        self._tables = tables
        self._workers = workers

    def begin(self, wish: Wish) -> list[Replay]:
        """Begin what is asked for.

        Raises:
            ConfigurationError: it names what is not configured.
            BridgeError: it cannot be begun, or there is nothing to replay.
        """
        config, workers = self._config(), self._workers()
        if config is None or workers is None:
            raise BridgeError("the service does not run yet")
        begun = begin(wish.checked(config), config, self._tables(), self._journal)
        for replay in begun:
            workers.replay(replay.sink)
        return begun

    def all(self) -> list[tuple[Replay, str | None]]:
        """Return the replays, each with why it waits, None where it does not."""
        workers = self._workers()
        if workers is None:
            return []
        replays = self._journal.replays
        turns = {sink: replays.next_of(sink) for sink in {each.sink for each in replays.all()}}
        shown: list[tuple[Replay, str | None]] = []
        for replay in replays.all():
            why, turn = None, turns[replay.sink]
            if replay.state == "running" and turn is not None:
                why = f"replay {turn.number} goes first"
                if turn.number == replay.number:
                    why = workers.replay_waits(replay.sink)
            shown.append((replay, why))
        return shown

    def stop(self, number: int) -> None:
        """Let one end where it is.

        Raises:
            KeyError: no replay has the number.
            JournalError: it could not be written; it goes on.
        """
        replay = self._journal.replays.finish(number, "stopped", "by hand")
        workers = self._workers()
        if workers is not None:
            workers.replay(replay.sink)


def replay_fields(replay: Replay, waits: str | None = None) -> dict[str, Any]:
    """Return what is shown of a replay."""
    return {
        "replay": replay.number,
        "sink": replay.sink,
        "of": "journal" if replay.letters is None else "deadletters",
        "tables": sorted(replay.tables),
        "first": replay.first,
        "end": replay.end,
        "rate": replay.rate,
        "state": replay.state,
        "begun": rfc3339(replay.begun),
        "ended": None if replay.ended is None else rfc3339(replay.ended),
        "expected": replay.expected,
        "replayed": replay.replayed,
        "refused": replay.refused,
        "gone": replay.gone,
        "why": replay.why or waits,
    }
