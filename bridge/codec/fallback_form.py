"""Records as lines, in Python."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import orjson

from bridge.codec.form import (
    Form,
    Member,
    Slot,
    Template,
    Values,
    Written,
    WrittenColumn,
    check_frame,
    key_frame,
    unsigned,
)
from bridge.codec.json_values import WRITERS, bare
from bridge.events import Schema, Times, rfc3339

_STARS = b"***"
_QUOTED_IN_CSV = re.compile(rb'[",\r\n]')

Decode = Callable[[bytes, int], list[dict[str, Any]]]


class FallbackForm(Form):
    """Writes what a decoder made of the records.

    Args:
        decode: of the codec that it belongs to.
    """

    def __init__(
        self,
        decode: Decode,
        schema: Schema,
        values: Values,
        columns: Sequence[Member] | None,
        key: Sequence[Member] | None,
    ) -> None:
        super().__init__(schema, values, columns, key)
        self._decode = decode

    def lines(
        self,
        payload: bytes,
        count: int,
        *,
        template: Template,
        first: int,
        times: Times,
        key_template: Template | None = None,
    ) -> Written:
        """See `Form.lines`."""
        before, after = key_frame(key_template)
        check_frame(template, count, first, times, keyed=self.key is not None)
        rows = [list(record.values()) for record in self._decode(payload, count)]
        keys = None if self.key is None else [_object(self.key, row) for row in rows]
        moments = _each_time(template, times)
        lines = []
        for place, (row, fill) in enumerate(zip(rows, moments, strict=True)):
            offset = first + place
            fill[Slot.OFFSET] = b"%d" % offset
            fill[Slot.OFFSET20] = b"%020d" % offset
            if Slot.RECORD in template:
                fill[Slot.RECORD] = _object(self.record, row)
            if Slot.CSV in template:
                fill[Slot.CSV] = _csv(self.record, row)
            if keys is not None:
                fill[Slot.KEY] = keys[place]
                if Slot.KEY_TEXT in template:
                    fill[Slot.KEY_TEXT] = orjson.dumps(keys[place].decode())
            lines.append(
                b"".join(fill[piece] if isinstance(piece, Slot) else piece for piece in template)
                + b"\n"
            )
        if keys is not None:
            keys = [before + key + after for key in keys]
        return Written(
            b"".join(lines),
            unsigned(accumulate(map(len, lines))),
            None if keys is None else b"".join(keys),
            None if keys is None else unsigned(accumulate(map(len, keys))),
        )


def _object(members: Sequence[WrittenColumn], row: Sequence[Any]) -> bytes:
    return b"{%b}" % b",".join(
        [member.name + _value(member, row[member.place]) for member in members]
    )


def _value(member: WrittenColumn, value: Any) -> bytes:
    if member.mask == "redact":
        return b'"%b"' % _STARS
    if value is None:
        return b"null"
    if member.mask == "hash":
        return b'"%b"' % _hash(member, value)
    return WRITERS[member.form](value)


def _csv(members: Sequence[WrittenColumn], row: Sequence[Any]) -> bytes:
    return b",".join([_csv_value(member, row[member.place]) for member in members])


def _csv_value(member: WrittenColumn, value: Any) -> bytes:
    if member.mask == "redact":
        return _STARS
    if value is None:
        return b""
    if member.mask == "hash":
        return _hash(member, value)
    text = bare(member.form, value)
    if text and _QUOTED_IN_CSV.search(text) is None:
        return text
    return b'"%b"' % text.replace(b'"', b'""')  # an empty text too: nothing at all is null


def _hash(member: WrittenColumn, value: Any) -> bytes:
    return hmac.digest(member.mask_key, bare(member.form, value), "sha256").hex().encode()


def _each_time(template: Template, times: Times) -> Iterator[dict[Slot, bytes]]:
    """Give each record the slots that its time fills, one dict for all of a run."""
    for records, time in times:
        fill = {
            Slot.TIME_MS: b"%d" % (time // 1000),
            Slot.TIME_US: b"%d" % time,
            Slot.TIME_NS: b"%d" % (time * 1000),
        }
        if Slot.TIME in template:
            fill[Slot.TIME] = rfc3339(time).encode()
        for _ in range(records):
            yield fill
