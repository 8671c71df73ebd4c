"""What rests because somebody said so: sinks, or single tables of them; kept over a restart."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from bridge.journal.state_file import StateFile

WHOLE = ""
"""In place of a table: the whole sink."""


class Pauses:
    """The pauses of an open journal; any thread may call.

    Args:
        file: where they are.
        writing: held while the file is written.
    """

    def __init__(self, file: StateFile, writing: threading.Lock) -> None:
        self._file = file
        self._writing = writing
        # Replaced as a whole, so that couriers may look at it at each pass.
        self._paused: Mapping[str, Mapping[str, int]] = {}
        for (sink, table), since in file.paused.items():
            self._paused = _with(self._paused, sink, table, since)

    def __repr__(self) -> str:
        return f"<Pauses {self._paused}>"

    def of(self, sink: str) -> Mapping[str, int]:
        """Return what rests of a sink: tables, or `WHOLE`, and since when."""
        return self._paused.get(sink, {})

    def pause(self, sink: str, table: str, since: int) -> bool:
        """Let a sink or one of its tables rest, durably; False if it rests already.

        Args:
            sink: its id.
            table: one of its tables, or `WHOLE`.
            since: microseconds since the epoch.

        Raises:
            JournalError: it could not be written; nothing changed.
        """
        return self._change(sink, table, since)

    def resume(self, sink: str, table: str) -> bool:
        """Let it go on; False if it does not rest. Raises as `pause`."""
        return self._change(sink, table, None)

    def _change(self, sink: str, table: str, since: int | None) -> bool:
        with self._writing:
            if (table in self.of(sink)) == (since is not None):
                return False
            self._file.pause(sink, table, since)
            self._paused = _with(self._paused, sink, table, since)
        return True


def _with(
    paused: Mapping[str, Mapping[str, int]], sink: str, table: str, since: int | None
) -> Mapping[str, Mapping[str, int]]:
    own = {name: at for name, at in paused.get(sink, {}).items() if name != table}
    return {**paused, sink: own if since is None else {**own, table: since}}
