"""When tables were last proven good, stored so that a thousand idle ones cost nothing.

Tables that were proven good at one moment share one mark, `good`, and one that names them,
`good_tables`; both bear a word that changes with the names, so that one never speaks for the names
of another. A table that differs has a mark of its own, `good_at/<table>`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Protocol

from bridge.events import Entry
from bridge.monitor.mark import Mark
from bridge.monitor.moment import NEVER, Moment


class Table(Protocol):
    """A table's monitor, as far as this goes."""

    @property
    def name(self) -> str:
        """Its qualified name."""

    @property
    def good(self) -> Moment:
        """When it was last proven good; by an order before all others if by an earlier run."""

    def post(self, entry: Entry | Mark) -> None:
        """Post a mark, in order with what was received before."""


class GoodMarks:
    """Stores when tables were good. Used by one thread."""

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset()
        self._word = ""
        self._at = NEVER
        self._own: dict[str, Moment] = {}

    def store(self, tables: Collection[Table]) -> None:
        """Store when each of these tables was last good; called after each round of probes."""
        good = {table.name: table.good for table in tables if table.good != NEVER}
        newest = max(good.values(), default=NEVER)
        if newest.order <= self._at.order:
            return  # nothing was proven in this round
        post = next(iter(tables)).post
        names = frozenset(name for name, at in good.items() if at == newest)
        for name in self._names - names:
            good.setdefault(name, self._at)  # it is not looked after any more
        for name, at in good.items():
            known = self._at if name in self._names else self._own.get(name, NEVER)
            if name not in names and (at != known or name in self._names):
                self._own[name] = at
                post(Mark(f"good_at/{name}", repr(at.wall)))
        if names != self._names:
            self._names, self._word = names, secrets.token_hex(4)
            post(Mark("good_tables", json.dumps([self._word, *sorted(names)])))
        self._at = newest
        post(Mark("good", json.dumps([self._word, newest.wall])))


def good_at(marks: Mapping[str, str], table: str) -> float:
    """Return when an earlier run last proved a table good, seconds since the epoch; 0 for never."""
    word, at = json.loads(marks.get("good", '["", 0.0]'))
    of, names = _tables(marks.get("good_tables", '[""]'))
    if word == of and table in names:
        return float(at)
    return float(marks.get(f"good_at/{table}", "0"))


@lru_cache(maxsize=2)
def _tables(text: str) -> tuple[str, frozenset[str]]:
    word, *names = json.loads(text)
    return word, frozenset(names)
