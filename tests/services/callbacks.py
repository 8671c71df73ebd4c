"""Callbacks of a table monitor client that remember what they were told, and can be awaited."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from bridge.monitor import Callback

PATIENCE = 30.0
ALL = tuple(kind.name for kind in Callback.Type)


class Heard:
    """What the callbacks of a client were told, in order.

    Args:
        act: called in each event callback before it is remembered: kind and value.
    """

    def __init__(self, act: Callable[[str, Any], object] | None = None) -> None:
        self._act = act
        self._told: list[tuple[str, Any]] = []
        self._news = threading.Condition()  # guards _told
        self.threads: set[threading.Thread] = set()

    def callbacks(
        self, *kinds: str, mode: Callback.InsertDecodedOptions.DecodeFailureMode | None = None
    ) -> list[Callback]:
        """Return a callback of each kind (of all, if none is named), and their error callbacks."""
        return [
            Callback(
                Callback.Type[kind],
                self._hearer(kind),
                self.error,
                Callback.InsertDecodedOptions(mode) if kind == "INSERT_DECODED" else None,
            )
            for kind in kinds or ALL
        ]

    def _hearer(self, kind: str) -> Callable[[Any], None]:
        def hear(value: Any) -> None:
            if self._act is not None:
                self._act(kind, value)
            self._remember(kind, value)

        return hear

    def error(self, message: str) -> None:
        self._remember("ERROR", message)

    def _remember(self, kind: str, value: Any) -> None:
        with self._news:
            self.threads.add(threading.current_thread())
            self._told.append((kind, value))
            self._news.notify_all()

    def all(self, kind: str) -> list[Any]:
        """Return all that was told of one kind so far."""
        with self._news:
            return [value for told, value in self._told if told == kind]

    def kinds(self) -> list[str]:
        """Return of what kind all that was told was, in order."""
        with self._news:
            return [kind for kind, _ in self._told]

    def until(self, kind: str, count: int = 1, having: str = "") -> list[Any]:
        """Wait until `count` of one kind were told, whose text has `having`; return these."""
        found: list[Any] = []
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while True:
                found = [
                    value for told, value in self._told if told == kind and having in str(value)
                ]
                if len(found) >= count:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(
                        f"{len(found)} of {count} {kind} {having!r}; last: {self._told[-20:]}"
                    )
                self._news.wait(left)
