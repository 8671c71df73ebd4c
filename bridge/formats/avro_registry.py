"""Which number a schema has: asked of a registry once, within a deadline, and kept.

While the registry is away nobody asks it again for a while, so that tables whose schemas are known
are not held up by those that wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from bridge.errors import Retry
from bridge.loop import Loop

_T = TypeVar("_T")

# After a call that came to nothing so many times its length passes without another.
_REST = 9
_LEAST_REST, _MOST_REST = 1.0, 45.0


class Away(Retry):
    """The registry as a whole is in trouble; it is not about one schema."""


class Overdue(TimeoutError):
    """A call takes too long.

    Attributes:
        call: runs until it is over, whenever that is.
    """

    def __init__(self, seconds: float, call: Loop) -> None:
        super().__init__(f"nothing came within {seconds:g} s")
        self.call = call


class Numbering(Protocol):
    """Numbers schemas; may raise `Retry`, and `Away` where it is in trouble."""

    def id_of(self, subject: str, text: str) -> int:
        """Return the number of a schema."""

    def check(self, subject: str, text: str) -> str:
        """Say what would become of a schema."""


class Registry:
    """A schema registry. Any thread may call.

    Args:
        name: how errors call it.
        connect: returns what asks it; called when it is first needed.
        timeout: seconds that a whole call may take.
        clock: monotonic.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Numbering],
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._connect = connect
        self._timeout = timeout
        self._clock = clock
        self._ids: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()  # held while a call runs; guards all below
        self._asked: Numbering | None = None
        # Until when nobody asks, why, and the call that has to end before.
        self._trouble: tuple[float, Away, Loop | None] | None = None

    def __repr__(self) -> str:
        return f"<Registry {self._name}>"

    def id_of(self, subject: str, text: str) -> int:
        """Return the number of a schema, which is registered under the subject if it was not.

        Raises:
            Retry: the registry does not answer, or refuses the schema.
        """
        known = self._ids.get((subject, text))
        if known is not None:
            return known
        with self._lock:
            known = self._ids.get((subject, text))
            if known is None:
                known = self._call(lambda asked: asked.id_of(subject, text))
                self._ids[subject, text] = known
            return known

    def check(self, subject: str, text: str) -> str:
        """Say what would become of a schema, and register nothing; raises as `id_of`."""
        with self._lock:
            return self._call(lambda asked: asked.check(subject, text))

    def _call(self, ask: Callable[[Numbering], _T]) -> _T:
        """Make a call, unless one has just come to nothing; the lock is held."""
        started = self._clock()
        if self._trouble is not None:
            until, away, overdue = self._trouble
            if started < until or (overdue is not None and not overdue.join(0)):
                raise away
        self._trouble = overdue = None
        try:
            return within(self._timeout, lambda: ask(self._ready()))
        except Overdue as error:
            away, overdue = Away(f"no answer from {self._name}: {error}"), error.call
        except Away as error:
            away = error
        now = self._clock()
        rest = min(max(_REST * (now - started), _LEAST_REST), _MOST_REST)
        self._trouble = now + rest, away, overdue
        raise away

    def _ready(self) -> Numbering:
        if self._asked is None:
            self._asked = self._connect()
        return self._asked


def within(seconds: float, call: Callable[[], _T]) -> _T:
    """Make a call that must not take longer, whatever it waits for.

    Raises:
        Overdue: it does; it goes on by itself, and what comes of it is not wanted.
        Exception: what the call raised.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def once() -> bool:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 (it is raised where the call is waited for)
            errors.append(error)
        return False

    loop = Loop("schema-registry", once)
    loop.start()
    if not loop.join(seconds):
        raise Overdue(seconds, loop)
    if errors:
        raise errors[0]
    return results[0]
