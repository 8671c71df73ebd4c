"""CloudEvents, binary: the value is the row's record alone, the attributes go beside it.

An event that has no members of its own (a drop) has an empty value, not a null one, which
topics that are compacted take for a deletion.
Source: CloudEvents 1.0.2, HTTP binding section 3.1, Kafka binding section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import ClassVar

import orjson

from bridge.codec import Slot
from bridge.events import rfc3339
from bridge.formats.base import Carries, Format, Rows, Single
from bridge.formats.cloud_attributes import Attribute, padded, shared_attributes
from bridge.formats.singles import members_of, one_line
from bridge.formats.writing import write
from bridge.lines import Lines


@dataclass(frozen=True, slots=True)
class CloudEventsBinary(Format):
    """Events after CloudEvents 1.0, the attributes beside the data.

    Attributes:
        instance: the name of this bridge.
    """

    needs: ClassVar[frozenset[Carries]] = frozenset({Carries.ATTRIBUTES})
    keyed: ClassVar[bool] = True  # the subject
    instance: str

    def rows(self, rows: Rows) -> Lines:
        """See `Format.rows`."""
        block = rows.block
        shared = shared_attributes(
            self.instance, block.type, block.table, block.cluster, block.cause
        )
        return write(rows, (Slot.RECORD,), attributes=EventAttributes(shared))

    def single(self, journal_id: str, offset: int, entry: Single) -> Lines:
        """See `Format.single`."""
        type_, data = members_of(entry)
        shared = shared_attributes(self.instance, type_, entry.table, entry.cluster)
        lines = one_line(journal_id, offset, entry, orjson.dumps(data) if data else b"")
        return replace(lines, attributes=EventAttributes(shared))


@dataclass(frozen=True, slots=True)
class EventAttributes:
    """The attributes of the events of some lines; they keep `Attributes`.

    Attributes:
        shared: those that all of them have.
    """

    shared: tuple[Attribute, ...]

    def of(
        self, lines: Lines, start: int, stop: int, prefix: str = ""
    ) -> Sequence[Sequence[Attribute]]:
        """See `Attributes.of`."""
        shared = [(prefix + name, value) for name, value in self.shared]
        id_ = f"{lines.journal_id}-"
        offsets = range(lines.first + start, lines.first + stop)
        own: dict[str, Iterable[str]] = {
            "id": [f"{id_}{offset}" for offset in offsets],
            "time": _times(lines, start, stop),
            "kineticaoffset": map(padded, offsets),
        }
        if lines.keys is not None:
            own["subject"] = _keys(lines, start, stop)
        names = [prefix + name for name in own]
        return [
            [*shared, *zip(names, values, strict=True)]
            for values in zip(*own.values(), strict=True)
        ]


def _times(lines: Lines, start: int, stop: int) -> Iterator[str]:
    index = 0
    for count, time in lines.times:
        ours = min(index + count, stop) - max(index, start)
        if ours > 0:
            yield from repeat(rfc3339(time), ours)
        index += count
        if index >= stop:
            break


def _keys(lines: Lines, start: int, stop: int) -> Iterator[str]:
    if lines.keys is None or lines.key_ends is None:
        return
    begin = int(lines.key_ends[start - 1]) if start else 0
    for end in lines.key_ends[start:stop]:
        yield lines.keys[begin:end].decode()
        begin = end
