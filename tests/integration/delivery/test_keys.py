"""Where order is per key, what waits holds up its own key and no other."""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path

from services.delivery import TABLE, Engine, ScriptedSink, number, settings
from services.process import wait_until

from bridge.errors import Reject, Retry
from bridge.sinks import Batch


def keyed(rig: Engine) -> ScriptedSink:
    """Say that the sink's order is per key."""
    rig.sink.ordered_by_key = True  # type: ignore[misc]
    return rig.sink


def test_the_other_keys_of_a_table_go_on(tmp_path: Path) -> None:
    """What waits is in the journal's lane; each key's events arrive in their order."""
    with Engine(tmp_path / "j") as rig:
        busy = threading.Event()
        busy.set()

        def judge(batch: Batch) -> None:
            failed: set[bytes | None] = set()
            for event in batch:
                if (busy.is_set() and number(event) == 4) or event.key in failed:
                    batch.fail(event, Retry("leader changes"))
                    failed.add(event.key)

        keyed(rig).judge = judge
        rig.start()
        for n in range(0, 40, 4):
            rig.insert(*range(n, n + 4))
        wait_until(lambda: len(rig.sink.numbers()) == 28, "all other keys arrive")
        waiting = [n for n in range(4, 40) if n % 3 == 1]
        wait_until(lambda: rig.journal.lanes("s")[TABLE].waiting == tuple(waiting), "they wait")
        assert rig.sink.numbers() == [n for n in range(40) if n % 3 != 1 or n < 4]
        assert rig.worker.stats().waiting == {TABLE: "leader changes"}
        assert rig.worker.stats().state == "delivering"
        assert rig.account().pending == len(waiting)

        busy.clear()
        rig.wait_settled()
        assert rig.sink.numbers()[28:] == waiting
        assert rig.journal.lanes("s")[TABLE].waiting == ()


def test_what_waits_is_taken_up_again_by_the_next_worker(tmp_path: Path) -> None:
    """Its keys with it: nothing of the same key overtakes it."""
    with Engine(tmp_path / "j") as rig:

        def judge(batch: Batch) -> None:
            for event in batch:
                if number(event) % 3 == 1:
                    batch.fail(event, Retry("away", after=3600))

        keyed(rig).judge = judge
        rig.insert(*range(6))
        rig.start()
        wait_until(lambda: rig.journal.lanes("s")[TABLE].waiting == (1, 4), "they wait")
        rig.insert(6, 7)
        fresh = ScriptedSink()
        fresh.ordered_by_key = True  # type: ignore[misc]
        rig.worker.configure(fresh, settings(), rig.tables, rig.output)
        rig.wait_settled()

        assert rig.sink.numbers() + fresh.numbers() != sorted(range(8))
        by_key = defaultdict(list)
        for n in rig.sink.numbers() + fresh.numbers():
            by_key[n % 3].append(n)
        assert dict(by_key) == {0: [0, 3, 6], 1: [1, 4, 7], 2: [2, 5]}


def test_a_poison_event_of_one_key_is_proven_by_the_others(tmp_path: Path) -> None:
    """Refused alone, another one accepted, refused once more; its key goes on then."""
    with Engine(tmp_path / "j") as rig:

        def judge(batch: Batch) -> None:
            failed: set[bytes | None] = set()
            for event in batch:
                if number(event) == 4:
                    batch.fail(event, Reject("HTTP 400"))
                    failed.add(event.key)
                elif event.key in failed:
                    batch.fail(event, Retry("behind another one"))

        keyed(rig).judge = judge
        rig.start()
        for n in range(30):
            rig.insert(n)
        rig.wait_settled()

        assert rig.letters().keys() == {4}
        by_key = defaultdict(list)
        for n in rig.sink.numbers():
            by_key[n % 3].append(n)
        assert by_key[0] == list(range(0, 30, 3))
        assert by_key[2] == list(range(2, 30, 3))
        assert sorted(by_key[1]) == [n for n in range(1, 30, 3) if n != 4]


def test_beyond_ten_thousand_that_wait_the_table_waits(tmp_path: Path) -> None:
    """And goes on with all of it once they are taken."""
    with Engine(tmp_path / "j") as rig:
        busy = threading.Event()
        busy.set()

        def judge(batch: Batch) -> None:
            if busy.is_set():
                for event in batch:
                    if event.key == b'{"k":0}':
                        batch.fail(event, Retry("busy"))

        keyed(rig).judge = judge
        rig.start(max_events=5_000)
        for begin in range(0, 25_000, 5_000):
            rig.insert(*range(begin, begin + 5_000), keys=2)
        wait_until(
            lambda: len(rig.journal.lanes("s")[TABLE].waiting) == 10_000, "as many as may be wait"
        )
        cursor = rig.journal.lanes("s")[TABLE].cursor
        assert cursor < 20_100
        busy.clear()
        rig.wait_settled()

        assert len(rig.sink.delivered) == 25_000
        by_key = defaultdict(list)
        for n in rig.sink.numbers():
            by_key[n % 2].append(n)
        assert by_key[0] == list(range(0, 25_000, 2))
        assert by_key[1] == list(range(1, 25_000, 2))


def test_a_suspect_of_a_sink_with_keys_is_proven_by_one_without(tmp_path: Path) -> None:
    """Whoever takes the name over holds the whole table up for it; what comes behind proves it."""
    with Engine(tmp_path / "j") as rig:

        def judge(batch: Batch) -> None:
            for event in batch:
                if number(event) == 2:
                    batch.fail(event, Reject("HTTP 422"))

        keyed(rig).judge = judge
        rig.insert(0, 1, 2)
        rig.start()
        wait_until(lambda: rig.journal.lanes("s")[TABLE].waiting == (2,), "the suspect waits")
        without = ScriptedSink()
        without.judge = judge
        rig.worker.configure(without, settings(), rig.tables, rig.output)
        rig.insert(3, 4, 5)
        rig.wait_settled()

        assert rig.letters().keys() == {2}
        assert sorted(without.numbers()) == [3, 4, 5]


def test_a_key_that_is_refused_wholly_is_looked_through_in_ever_wider_steps(
    tmp_path: Path,
) -> None:
    """Not one by one: 900 that wait cost a handful of tries between two pauses."""
    with Engine(tmp_path / "j") as rig:

        def judge(batch: Batch) -> None:
            for event in batch:
                batch.fail(event, Reject("HTTP 422"))

        keyed(rig).judge = judge
        rig.insert(*range(900), keys=1)
        rig.start(max_events=1000, max_backoff=3600, initial_backoff=3600)
        wait_until(lambda: rig.worker.stats().waiting, "they wait")
        wait_until(lambda: [899] in rig.sink.calls, "the newest is tried")

        assert len(rig.sink.calls) < 50
        assert rig.letters() == {}
