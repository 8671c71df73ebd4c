"""Raw is the record as it was received, and nothing else."""

from __future__ import annotations

import pytest
from services.formats import ID, PAYLOAD, SINGLES, block, write

from bridge.errors import Retry
from bridge.formats.json import JsonFormat
from bridge.formats.raw import RawFormat
from bridge.formats.shape import Shape, Stage


def test_each_value_is_the_bytes_of_its_record() -> None:
    """In the block's own memory, with no line feed behind them; keys where they are wanted."""
    lines = write(RawFormat(), block())
    assert lines.buffer is PAYLOAD
    assert [lines.event(index).value for index in range(2)] == [PAYLOAD[:2], PAYLOAD[2:]]
    assert [lines.event(index).key for index in range(2)] == [b'{"order_id":1}', b'{"order_id":2}']
    assert (lines.line_feed, lines.content_type) == (False, "application/octet-stream")
    assert write(RawFormat(), block(), keyed=False).event(0).key is None


def test_what_is_no_row_is_a_notification_in_json() -> None:
    """As the format json has it."""
    for entry in SINGLES.values():
        lines = RawFormat().single(ID, 5, entry)
        assert lines.notification
        assert lines.line_feed
        assert lines.event(0) == JsonFormat().single(ID, 5, entry).event(0)


def test_rows_that_are_to_be_shaped_wait() -> None:
    """A masked column must not go out because its bytes are not looked at."""
    shape = Shape(stages=(Stage(mask=(("note", "redact"),)),))
    with pytest.raises(Retry, match="choose another format"):
        write(RawFormat(), block(), shape)
