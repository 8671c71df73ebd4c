"""The JSON form of an event: one compact UTF-8 object, its keys in a fixed order.

{"id":…,"type":…,"table":…,"cluster":…,"time":…,"offset":…, and what the type adds}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import orjson

from bridge.codec import Slot
from bridge.events import Block
from bridge.formats.base import Format, Rows, Single
from bridge.formats.singles import as_json
from bridge.formats.writing import write
from bridge.lines import Lines


@dataclass(frozen=True, slots=True)
class JsonFormat(Format):
    """Events as they are documented."""

    def rows(self, rows: Rows) -> Lines:
        """See `Format.rows`."""
        return write(rows, template(rows.journal_id, rows.block))

    def single(self, journal_id: str, offset: int, entry: Single) -> Lines:
        """See `Format.single`."""
        return as_json(journal_id, offset, entry)


def template(journal_id: str, block: Block) -> Sequence[bytes | Slot]:
    """Return the pieces of which the line of each of a block's rows is made, in order.

    Args:
        journal_id: 16 hexadecimal digits.
        block: the rows; its payload is not looked at.
    """
    return _template(journal_id, block.type, block.table, block.cluster, block.cause)


@lru_cache(maxsize=1024)  # blocks of a trickle are small, and all alike in this
def _template(
    journal_id: str, type_: str, table: str, cluster: str, cause: str | None
) -> Sequence[bytes | Slot]:
    shared = {"type": type_, "table": table, "cluster": cluster}
    tail = b"}" if cause is None else b',"cause":"%b"}' % cause.encode()
    return (
        b'{"id":"%b-' % journal_id.encode(),
        Slot.OFFSET,
        b'",' + orjson.dumps(shared)[1:-1] + b',"time":"',
        Slot.TIME,
        b'","offset":',
        Slot.OFFSET,
        b',"record":',
        Slot.RECORD,
        tail,
    )
