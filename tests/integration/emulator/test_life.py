"""Starting, stopping, starting again."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from kinetica_emulator import Emulator, EmulatorError


def test_it_starts_and_stops_as_often_as_asked() -> None:
    """Both are idempotent, and no thread of its own outlives a stop."""
    emulator = Emulator()
    emulator.stop()
    emulator.start()
    url, port = emulator.url, emulator.monitor_port
    emulator.start()
    emulator.stop()
    emulator.stop()
    emulator.restart()

    assert (emulator.url, emulator.monitor_port) == (url, port)
    emulator.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("emulator")]


def test_a_restart_keeps_rows_and_monitors(connect: Any, listen: Any) -> None:
    """A subscriber that stays hears the restarted cluster on the same port."""
    with Emulator() as emulator:
        client = connect(emulator)
        client.create_table("t", {"id": ["int"]})
        topic = client.monitor("t")
        client.insert("t", {"id": 1})
        assert emulator.wait_published()  # before anybody listens
        subscriber = listen(emulator)
        subscriber.subscribe(topic)

        emulator.restart()

        subscriber.subscribe_again(topic)
        assert client.rows("t") == [{"id": 1}]
        client.insert("t", {"id": 2})
        assert subscriber.receive() == (topic, [b"\x04"])


def test_a_port_in_use_is_an_error_that_says_so() -> None:
    """Neither half is left behind by a start that failed."""
    with Emulator() as first:
        port = int(first.url.rpartition(":")[2])
        for taken in ({"port": port}, {"monitor_port": first.monitor_port}):
            second = Emulator(**taken)
            with pytest.raises(EmulatorError, match="free one"):
                second.start()
            assert not second.running
            second.close()


def test_two_clusters_do_not_know_each_other(connect: Any) -> None:
    """Each has its own rows."""
    with Emulator() as first, Emulator() as second:
        connect(first).create_table("t", {"id": ["int"]})

        assert connect(second)("/has/table", table_name="t")["table_exists"] is False
