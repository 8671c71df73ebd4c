"""A registry that numbers schemas in their order, until it is told to be away or to refuse."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bridge.formats.avro import AvroFormat
from bridge.formats.avro_registry import Registry
from bridge.formats.registry_settings import Subjects


class Numbers:
    """What a `Registry` asks.

    Attributes:
        known: subject and schema, in the order of their numbers, which begin with 1.
        asked: the subjects that were asked for.
        judge: called with each subject before it is numbered; what it raises is the answer.
    """

    def __init__(self) -> None:
        self.known: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.judge: Callable[[str], None] = lambda _: None
        self._lock = threading.Lock()

    def id_of(self, subject: str, text: str) -> int:
        """Return the number of a schema."""
        self.asked.append(subject)
        self.judge(subject)
        with self._lock:
            if (subject, text) not in self.known:
                self.known.append((subject, text))
            return self.known.index((subject, text)) + 1

    def check(self, subject: str, text: str) -> str:
        """Say whether it is known."""
        self.judge(subject)
        return "known" if (subject, text) in self.known else "new"

    def format(
        self,
        subjects: Subjects = "topic",
        place: Callable[[str], str] = str,
        clock: Callable[[], float] | None = None,
    ) -> AvroFormat:
        """Return the format that asks it."""
        given = {} if clock is None else {"clock": clock}
        return AvroFormat(Registry("the registry", lambda: self, 10.0, **given), subjects, place)
