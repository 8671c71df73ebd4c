"""The tables that patterns were seen to mean, and which of them are new.

What is there when a pattern is looked at for the first time is taken like a table that is named. A
table that was not there at the last look is new: all of its rows come. So what was seen must
outlive a restart, and so must it that a new table was not listened to yet.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bridge.config import Config, Table

MARK = "found"

_Key = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Found:
    """What was seen at the last look.

    Attributes:
        by_pattern: the tables of each pattern that was looked at; by it and its exceptions.
        new: those that were not there at a look, and were not listened to yet: the wall time of
            that look, seconds since the epoch.
        looked_at: no later than the last look.
    """

    by_pattern: Mapping[_Key, frozenset[str]] = field(default_factory=dict)
    new: Mapping[str, float] = field(default_factory=dict)
    looked_at: float = 0.0

    @property
    def names(self) -> frozenset[str]:
        """All tables found."""
        return frozenset().union(*self.by_pattern.values())

    def look(self, config: Config, listed: Mapping[str, Collection[str]], since: float) -> Found:
        """Return what there is after a look; what has vanished stays.

        Args:
            config: the patterns.
            listed: the qualified names of all tables of each schema that was listed.
            since: when the look before was, seconds since the epoch; 0 where this run had none.
        """
        known, by_pattern, new = self.names, dict(self.by_pattern), dict(self.new)
        for entry in patterns(config):
            names = listed.get(entry.name.rpartition(".")[0])
            if names is None:
                continue
            mine = frozenset(name for name in names if config.entry(name) is entry)
            before = by_pattern.get(_key(entry))
            if before is not None:
                new.update(dict.fromkeys(mine - known, max(since, self.looked_at)))
            by_pattern[_key(entry)] = mine | (before or frozenset())
        return Found(by_pattern, new, max(since, self.looked_at))

    def within(self, config: Config, gone: Collection[str], heard: Collection[str]) -> Found:
        """Return what is left of it for a start, or for another configuration.

        Args:
            config: its patterns are kept.
            gone: tables that are not there any more and are looked after no longer.
            heard: tables that have been listened to, so that they are new no longer.
        """
        wanted = {_key(entry) for entry in patterns(config)}
        by_pattern = {
            key: frozenset(name for name in names if name not in gone)
            for key, names in self.by_pattern.items()
            if key in wanted
        }
        new = {n: at for n, at in self.new.items() if n not in heard and n not in gone}
        return Found(by_pattern, new, self.looked_at)

    def counts(self, config: Config) -> dict[str, int | None]:
        """Return how many tables each pattern means, None where it was not looked at yet."""
        seen = {entry.name: self.by_pattern.get(_key(entry)) for entry in patterns(config)}
        return {name: None if names is None else len(names) for name, names in seen.items()}

    def to_text(self) -> str:
        """Return what `from_text` reads."""
        rows = [[*key, sorted(names)] for key, names in sorted(self.by_pattern.items())]
        return json.dumps({"patterns": rows, "new": dict(self.new), "at": self.looked_at})

    @staticmethod
    def from_text(text: str) -> Found:
        """Take up what an earlier run has seen, if anything."""
        if not text:
            return Found()
        saved = json.loads(text)
        by_pattern = {
            (name, tuple(excepted)): frozenset(names) for name, excepted, names in saved["patterns"]
        }
        return Found(by_pattern, saved["new"], saved["at"])


def patterns(config: Config) -> list[Table]:
    """Return the entries that are patterns."""
    return [entry for entry in config.tables if entry.is_pattern]


def schemas(config: Config) -> frozenset[str]:
    """Return the schemas that must be listed for the patterns."""
    return frozenset(entry.name.rpartition(".")[0] for entry in patterns(config))


def _key(entry: Table) -> _Key:
    return entry.name, tuple(sorted(entry.except_))
