"""A sink's line on a real journal: batches as large as may be, nothing twice, nothing left."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.delivery.backlog import Backlog
from bridge.delivery.rendering import Renderer
from bridge.events import Column, Entry, Rows, Schema, Undecodable
from bridge.journal import Journal

SCHEMA = Schema("7", (Column("n", "int", "int"),), ("n",))


def rows(count: int, table: str = "t") -> Rows:
    return Rows(table, "http://k:9191", 0, "insert", SCHEMA, [b"\x02"] * count)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(-1, 9), min_size=1, max_size=12),
    max_events=st.integers(1, 12),
    max_bytes=st.integers(1, 2000),
    start=st.integers(0, 5),
)
def test_batches_hold_as_much_as_may_be_and_every_event_once(
    sizes: list[int], max_events: int, max_bytes: int, start: int
) -> None:
    """For entries of any size (-1: bytes that are no record), any limits, any cursor."""
    # Two tables by turns, as one table's notifications would become one entry.
    entries: list[Entry] = [
        rows(size, "tu"[i % 2]) if size >= 0 else Undecodable("t", "http://k:9191", 0, b"x", "bad")
        for i, size in enumerate(sizes)
    ]
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "j") as journal:
        head = journal.append(entries)
        start = min(start, head)
        with journal.reader() as reader:
            renderer = Renderer(journal.id, {})
            backlog = Backlog("s", ["t", "u"], start, reader, renderer, keyed=False)
            while backlog.read():
                pass
            seen: list[int] = []
            batches = []
            while len(backlog):
                before = len(backlog)
                stretch = backlog.next_unsendable()
                if stretch is not None:
                    seen += range(stretch.offset, stretch.end)
                    continue
                batch = backlog.take(max_events, max_bytes)
                batches.append(batch)
                seen += [event.offset for event in batch]
                assert len(backlog) == before - len(batch)

    assert seen == list(range(start, head))
    for batch, following in pairwise(batches):
        size = sum(len(event.value) for event in batch)
        assert 1 <= len(batch) <= max_events
        assert size <= max_bytes or len(batch) == 1
        if following[0].offset == batch[-1].offset + 1:
            assert len(batch) == max_events or size + len(following[0].value) > max_bytes


def test_keys_are_there_for_who_wants_them_and_for_all_from_then_on(tmp_path: Path) -> None:
    """Also where the same rows were rendered for another sink before, without."""
    with Journal(tmp_path / "j") as journal:
        journal.append([rows(2)])
        renderer = Renderer(journal.id, {})
        with journal.reader() as reader:
            (stored,) = reader.read(0).entries

        keyless = renderer.events(stored, keyed=False)
        keyed = renderer.events(stored, keyed=True)

    assert [event.key for event in keyless] == [None, None]
    assert [event.key for event in keyed] == [b'{"n":1}', b'{"n":1}']
    assert [event.value for event in keyless] == [event.value for event in keyed]
    assert renderer.events(stored, keyed=False) is keyed
