"""From entries to events, in bulk and once for all sinks that want the same.

Sinks that keep pace with each other ask for the same entries at about the same time: the
last rendered ones are kept, and who asks for one that another thread is rendering waits for
it instead of doing the work twice.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.codec import Codec, Values, compile_schema
from bridge.events import Event, Schema, Undecodable
from bridge.formats.json import row_events, single_event
from bridge.journal import Records, Stored

_KEPT_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class TableForm:
    """How a table's rows are written.

    Attributes:
        key: columns of the message key, None for the primary key.
        values: `declared` or `kinetica`.
    """

    key: tuple[str, ...] | None = None
    values: Values = "declared"


class _Rendering:
    """The events of an entry, maybe still in the making.

    Attributes:
        making: held until they are made, or cannot be.
        size: about how many bytes they take.
    """

    __slots__ = ("error", "events", "making", "size")

    def __init__(self, size: int) -> None:
        self.making = threading.Lock()
        self.making.acquire()
        self.size = size
        self.events: Sequence[Event] = ()
        self.error: BaseException | None = None

    def result(self) -> Sequence[Event]:
        """Wait for the events; raises what their making raised."""
        with self.making:
            if self.error is not None:
                raise self.error
            return self.events


class Renderer:
    """Turn stored entries into events. Any thread may call.

    Args:
        journal_id: 16 hexadecimal digits, the first part of every event's id.
        forms: by table; a table that is not in it is written in the default form.
    """

    def __init__(self, journal_id: str, forms: Mapping[str, TableForm]) -> None:
        self.journal_id = journal_id
        self.forms = forms  # may be replaced at any time
        self._codecs: dict[Schema, Codec] = {}
        self._lock = threading.Lock()  # guards all below
        self._keyed = False  # whether anybody has asked for keys; then all events have them
        self._kept: OrderedDict[int, _Rendering] = OrderedDict()
        self._kept_bytes = 0

    def events(self, stored: Stored, *, keyed: bool = False) -> Sequence[Event]:
        """Return the events of an entry.

        Args:
            stored: the entry.
            keyed: whether the keys of rows are wanted; where not, they may be None.

        Raises:
            DecodeError: its bytes are no records of its schema.
        """
        with self._lock:
            if keyed and not self._keyed:
                self._keyed = True
                self._kept.clear()  # rendered without
                self._kept_bytes = 0
            keyed = self._keyed
            kept = self._kept.get(stored.offset)
            if kept is None:
                mine = self._keep(stored)
        if kept is not None:
            return kept.result()
        try:
            mine.events = self._render(stored, keyed=keyed)
        except BaseException as error:
            mine.error = error
            raise
        finally:
            mine.making.release()
        return mine.events

    def _keep(self, stored: Stored) -> _Rendering:
        size = len(stored.entry.payload) * 4 if isinstance(stored.entry, Records) else 500
        rendering = self._kept[stored.offset] = _Rendering(size)
        self._kept_bytes += size
        while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.size
        return rendering

    def _render(self, stored: Stored, *, keyed: bool) -> Sequence[Event]:
        entry = stored.entry
        if isinstance(entry, Undecodable):
            return ()
        if not isinstance(entry, Records):
            return (single_event(self.journal_id, stored.offset, entry),)
        codec = self._codecs.get(entry.schema)
        if codec is None:
            codec = self._codecs[entry.schema] = compile_schema(entry.schema)
        form = self.forms.get(entry.table, TableForm())
        return row_events(
            self.journal_id,
            stored.offset,
            entry,
            codec,
            key=form.key,
            values=form.values,
            keyed=keyed,
        )
