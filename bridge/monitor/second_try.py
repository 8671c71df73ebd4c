"""Decoding a record that did not fit: once more, with the layout that its table has now.

A table may be altered between two probes. Asking the server for every bad record would turn a
flood of them into a flood of calls, so an answer holds for a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bridge.codec import Codec, compile_schema
from bridge.errors import BridgeError, DecodeError
from bridge.events import Schema

_ANSWER_HOLDS_SECONDS = 1.0


class SecondTry:
    """Decodes with the present layout. Used by one thread.

    Args:
        ask: returns the table's layout, None where the table is gone; may block and raise
            a BridgeError.
        clock: seconds, monotonic.
    """

    def __init__(
        self, ask: Callable[[], Schema | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._asked_at: float | None = None
        self._answer: Codec | str = ""

    def decode(self, frame: bytes) -> dict[str, Any] | str:
        """Return the record, or the reason why it does not decode now either."""
        codec = self._codec()
        if isinstance(codec, str):
            return codec
        try:
            return codec.decode(frame, 1)[0]
        except DecodeError as error:
            return error.reason

    def _codec(self) -> Codec | str:
        now = self._clock()
        if self._asked_at is None or now - self._asked_at >= _ANSWER_HOLDS_SECONDS:
            try:
                schema = self._ask()
            except BridgeError as error:
                self._answer = f"the table's present layout is not to be had: {error}"
            else:
                self._answer = (
                    "the table does not exist any more"
                    if schema is None
                    else compile_schema(schema)
                )
            self._asked_at = self._clock()
        return self._answer
