"""A replay beside the live stream of a real worker, on a real journal."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from services.delivery import OTHER, TABLE, Engine, Gate, ScriptedSink, number, settings
from services.process import wait_until

from bridge.delivery.calls import Connection
from bridge.delivery.job import Job
from bridge.delivery.replaying import Replayer
from bridge.errors import Reject, Retry
from bridge.events import Count, Undecodable
from bridge.journal import LetterFilter, Letters, Replay
from bridge.sinks import Batch


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Engine]:
    """An engine whose worker the test starts."""
    with Engine(tmp_path / "j", (TABLE, OTHER)) as engine:
        yield engine


def begin(
    rig: Engine, first: int = 0, end: int | None = None, rate: int = 0, *tables: str
) -> Replay:
    """Ask for a replay of what is stored, and let the worker know."""
    end = rig.journal.head if end is None else end
    replay = rig.journal.replays.begin("s", tables or (TABLE,), first, end, rate=rate)
    rig.worker.replay()
    return replay


def wait_over(rig: Engine, replay: Replay) -> Replay:
    """Wait for the end of a replay, and return it."""
    find = rig.journal.replays.find
    wait_until(lambda: find(replay.number).state != "running", "the replay is over")
    return find(replay.number)


def test_what_was_delivered_comes_again_with_its_ids_and_is_counted_apart(rig: Engine) -> None:
    """The accounts of the live stream do not change by it."""
    rig.insert(*range(50))
    rig.start()
    rig.wait_settled()
    before = rig.account()
    over = wait_over(rig, begin(rig, 10, 40))

    assert (over.state, over.replayed, over.refused, over.gone) == ("done", 30, 0, 0)
    assert rig.sink.numbers() == [*range(50), *range(10, 40)]
    ids = Counter(event.id for event in rig.sink.delivered)
    assert sorted(ids.values()) == [1] * 20 + [2] * 30
    assert rig.account() == before
    assert rig.journal.replays.totals() == {("s", TABLE): 30}


def test_what_is_refused_is_set_aside_once_and_the_rest_goes_on(rig: Engine) -> None:
    """A dead letter that there is of the event is renewed."""
    rig.insert(*range(40))
    rig.start()
    rig.wait_settled()

    def judge(batch: Batch) -> None:
        if any(number(event) == 7 for event in batch):
            raise Reject("HTTP 400: bad")

    rig.sink.judge = judge
    account = rig.account()
    first = wait_over(rig, begin(rig))
    attempts = rig.letters()[7].attempts
    second = wait_over(rig, begin(rig))

    assert (first.replayed, first.refused) == (second.replayed, second.refused) == (39, 1)
    assert rig.letters().keys() == {7}
    assert rig.letters()[7].attempts > attempts
    assert rig.account() == account


def test_a_destination_that_refuses_everything_makes_the_replay_wait(rig: Engine) -> None:
    """Nothing is set aside; it goes on once the destination is well."""
    rig.insert(*range(40))
    rig.start()
    rig.wait_settled()
    ill = threading.Event()
    ill.set()

    def judge(_: Batch) -> None:
        if ill.is_set():
            raise Reject("HTTP 400: everything is bad")

    rig.sink.judge = judge
    replay = begin(rig)
    wait_until(lambda: "everything" in (rig.worker.replay_waits or ""), "it says why it waits")
    assert not rig.letters()
    ill.clear()
    over = wait_over(rig, replay)

    assert (over.replayed, over.refused) == (40, 0)
    assert not rig.letters()


def test_a_replay_rests_while_the_live_stream_has_trouble(rig: Engine) -> None:
    """What is live goes first, and alone finds out whether the destination is back."""
    rig.insert(*range(20))
    rig.start()
    rig.wait_settled()
    away = threading.Event()
    away.set()

    def judge(_: Batch) -> None:
        if away.is_set():
            raise Retry("nobody there")

    rig.sink.judge = judge
    rig.insert(100)
    wait_until(lambda: rig.worker.stats().error is not None, "the live stream waits")
    tried = len([call for call in rig.sink.calls if call[0] < 20])
    replay = begin(rig, 0, 20)
    wait_until(lambda: "nobody" in (rig.worker.replay_waits or ""), "the replay says so")
    assert len([call for call in rig.sink.calls if call[0] < 20]) == tried
    away.clear()

    assert wait_over(rig, replay).replayed == 20
    rig.wait_settled()


def test_no_call_of_a_replay_runs_beside_a_live_one(rig: Engine) -> None:
    """A sink with one call at a time has one; and what is live is not held up for long."""
    inside, most = [0], [0]

    def judge(_: Batch) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        threading.Event().wait(0.001)
        inside[0] -= 1

    rig.insert(*range(200))
    rig.start()
    rig.wait_settled()
    rig.sink.judge = judge
    replay = begin(rig)
    for n in range(1000, 1100):
        rig.insert(n)
        rig.insert(n, table=OTHER)
    wait_over(rig, replay)
    rig.wait_settled()

    assert most == [1]
    live = [n for n in rig.sink.numbers() if n >= 1000]
    assert live == list(range(1000, 1100))


class TwoAtOnce(ScriptedSink):
    """A sink that takes two calls at once."""

    max_in_flight = 2


def test_several_calls_at_once_never_have_events_of_one_table_with_a_replay(rig: Engine) -> None:
    """Each table is in one call at a time, and there are never more calls than may be."""
    lock = threading.Lock()
    inside: list[set[str]] = []
    wrong: list[str] = []

    def judge(batch: Batch) -> None:
        with lock:
            if len(inside) >= 2 or any(batch.tables & other for other in inside):
                wrong.append(f"{batch.tables} beside {inside}")
            inside.append(batch.tables)
        threading.Event().wait(0.001)
        with lock:
            inside.remove(batch.tables)

    sink = TwoAtOnce()
    sink.judge = judge
    rig.start(sink)
    for table in (TABLE, OTHER):
        rig.insert(*range(100), table=table)
    rig.wait_settled()
    replay = begin(rig, 0, None, 0, TABLE, OTHER)
    for n in range(50):
        rig.insert(1000 + n)
        rig.insert(1000 + n, table=OTHER)
    assert wait_over(rig, replay).replayed == 200
    rig.wait_settled()

    assert not wrong


def test_a_replay_that_is_stopped_ends_and_the_next_one_has_its_turn(rig: Engine) -> None:
    """A sink has one at a time; others wait for their turn."""
    rig.insert(*range(40))
    rig.start()
    rig.wait_settled()
    gate = Gate()
    rig.sink.judge = lambda _: gate.pass_()
    first, second = begin(rig), begin(rig, 38)
    gate.reached.wait(10)
    rig.journal.replays.finish(first.number, "stopped", "by hand")
    gate.open()

    assert wait_over(rig, second).replayed == 2
    over = rig.journal.replays.find(first.number)
    assert (over.state, over.why, over.replayed < 40) == ("stopped", "by hand", True)


def test_a_replay_goes_on_in_a_sink_that_was_changed(rig: Engine) -> None:
    """A reload costs nothing of it."""
    rig.insert(*range(64))
    rig.start()
    rig.wait_settled()
    gate, other = Gate(), ScriptedSink()
    rig.sink.judge = lambda _: gate.pass_()
    replay = begin(rig)
    gate.reached.wait(10)
    rig.start(other)
    gate.open()
    over = wait_over(rig, replay)

    assert (over.replayed, over.gone) == (64, 0)
    assert rig.sink.numbers()[64:] + other.numbers() == list(range(64))


def test_a_rate_is_kept_to(rig: Engine) -> None:
    """Batches are small, so that one of them takes no longer than a fraction of a second."""
    rig.insert(*range(60))
    rig.start()
    rig.wait_settled()
    calls = len(rig.sink.calls)
    wait_over(rig, begin(rig, rate=40))

    assert max(map(len, rig.sink.calls[calls:])) <= 10


def replay_letters(rig: Engine, which: LetterFilter = LetterFilter()) -> Replay:  # noqa: B008
    """Ask for dead letters to be delivered again, and wait for the end."""
    with rig.journal.reader() as reader:
        found = reader.dead_letters(which)
    last = max((letter.number for letter in found), default=0)
    replay = rig.journal.replays.begin_letters("s", Letters(which, last), len(found))
    rig.worker.replay()
    return wait_over(rig, replay)


def test_a_dead_letter_that_is_delivered_goes_and_one_refused_again_is_renewed(
    rig: Engine,
) -> None:
    """Each from its stored entry; the counts of the lane stay as they were."""
    bad = {5, 7, 11}

    def judge(batch: Batch) -> None:
        if any(number(event) in bad for event in batch):
            raise Reject("HTTP 400: bad")

    rig.sink.judge = judge
    rig.insert(*range(30))
    rig.start()
    rig.wait_settled()
    account, before = rig.account(), rig.letters()
    assert before.keys() == {5, 7, 11}
    bad.discard(7)
    over = replay_letters(rig)

    assert (over.state, over.expected, over.replayed, over.refused) == ("done", 3, 1, 2)
    assert rig.letters().keys() == {5, 11}
    assert rig.letters()[5].attempts > before[5].attempts
    assert "HTTP 400: bad" in rig.letters()[5].reason
    assert rig.sink.numbers()[-1] == 7
    assert rig.account() == account


def test_a_letter_of_an_older_release_is_taken_from_the_journal(
    rig: Engine, tmp_path: Path
) -> None:
    """It was stored without its entry; where the journal has it no more it is not there."""
    bad = {5}

    def judge(batch: Batch) -> None:
        if any(number(event) in bad for event in batch):
            raise Reject("HTTP 400: bad")

    rig.sink.judge = judge
    rig.insert(*range(30))
    rig.start()
    rig.wait_settled()
    bad.clear()
    with sqlite3.connect(tmp_path / "j" / "state.db") as connection:
        connection.execute("UPDATE dead_letters SET kind = NULL, payload = NULL")
        connection.execute(
            "INSERT INTO dead_letters"
            ' (sink, table_name, "offset", id, time, set_aside, reason, value)'
            " VALUES ('s', ?, 1000000, 'x-1000000', 1, 1, 'refused', '{}')",
            (TABLE,),
        )
    connection.close()
    over = replay_letters(rig)

    assert (over.replayed, over.refused, over.gone) == (1, 0, 1)
    assert rig.sink.numbers()[-1] == 5
    assert rig.letters().keys() == {1_000_000}


def test_letters_that_cannot_be_delivered_are_passed_over_many_at_a_time(
    rig: Engine, tmp_path: Path
) -> None:
    """And the replay can be stopped meanwhile: a sink may have millions of them."""
    with sqlite3.connect(tmp_path / "j" / "state.db") as connection:
        connection.executemany(
            "INSERT INTO dead_letters"
            ' (sink, table_name, "offset", id, time, set_aside, reason, raw)'
            " VALUES ('s', 'other', ?, 'x', 1, 1, 'no record', x'00')",
            [(at,) for at in range(1200)],
        )
    connection.close()
    replay = rig.journal.replays.begin_letters("s", Letters(LetterFilter(), 1200), 1200)
    sink = ScriptedSink()
    job = Job(sink, settings(), frozenset((TABLE,)), rig.output)
    replayer = Replayer("s", Connection("s", sink), rig.journal, job)
    refused = []
    for _ in range(3):
        assert replayer.step()
        refused.append(rig.journal.replays.find(replay.number).refused)
    assert refused == [500, 1000, 1200]

    rig.journal.replays.finish(replay.number, "stopped")
    assert rig.journal.replays.next_of("s") is None


def test_dead_letters_are_chosen_by_number(rig: Engine) -> None:
    """The others stay untouched."""
    bad = {5, 7}

    def judge(batch: Batch) -> None:
        if any(number(event) in bad for event in batch):
            raise Reject("HTTP 400: bad")

    rig.sink.judge = judge
    rig.insert(*range(30))
    rig.start()
    rig.wait_settled()
    bad.clear()
    wanted = rig.letters()[7].number
    over = replay_letters(rig, LetterFilter(numbers=frozenset((wanted,))))

    assert (over.replayed, over.refused) == (1, 0)
    assert rig.letters().keys() == {5}


def test_what_is_no_record_stays_a_dead_letter(rig: Engine) -> None:
    """There is no event in it that could be delivered."""
    rig.journal.append([Undecodable(TABLE, "http://k:9191", 1, b"x", "no record")])
    rig.start()
    rig.wait_settled()
    over = replay_letters(rig)

    assert (over.replayed, over.refused) == (0, 1)
    assert rig.letters().keys() == {0}


def test_a_replay_survives_a_restart_without_counting_twice(tmp_path: Path) -> None:
    """What it has delivered and written down is not delivered again."""
    with Engine(tmp_path / "j") as rig:
        rig.insert(*range(64))
        rig.start()
        rig.wait_settled()
        gate = Gate()
        rig.sink.judge = lambda batch: gate.pass_() if batch[0].offset >= 32 else None
        replay = begin(rig)
        gate.reached.wait(10)
        rig.worker.stop()
        gate.open()
    first = len(rig.sink.numbers()) - 64
    with Engine(tmp_path / "j") as rig:
        rig.start()
        over = wait_over(rig, replay)
        assert (over.replayed, over.gone) == (64, 0)
        assert len(rig.sink.numbers()) == 64 - first
        assert rig.journal.replays.totals() == {("s", TABLE): 64}


def test_a_replay_rests_while_its_sink_is_paused(rig: Engine) -> None:
    """It goes on where it stood once the sink is resumed."""
    rig.insert(*range(20))
    rig.start()
    rig.wait_settled()
    rig.journal.pauses.pause("s", TABLE, 1)
    replay = begin(rig)
    wait_until(lambda: rig.worker.replay_waits == "paused by hand", "it says so")
    assert rig.sink.numbers() == list(range(20))
    rig.journal.pauses.resume("s", TABLE)

    assert wait_over(rig, replay).replayed == 20


def test_a_sink_that_takes_some_events_gets_no_others_in_a_replay(rig: Engine) -> None:
    """They are not expected either, so nothing is missing at the end."""
    rig.insert(*range(20))
    rig.journal.append([Count(TABLE, "http://k:9191", 1, "update", 3)])
    rig.insert(*range(20, 30))
    events, sink = frozenset(("update",)), ScriptedSink()
    replay = rig.journal.replays.begin("s", [TABLE], 0, rig.journal.head, events=events)
    replayer = Replayer(
        "s",
        Connection("s", sink),
        rig.journal,
        Job(
            sink,
            settings().model_copy(update={"events": ("update",)}),
            frozenset((TABLE,)),
            rig.output,
        ),
    )
    while rig.journal.replays.find(replay.number).state == "running":
        assert replayer.step()
    over = rig.journal.replays.find(replay.number)

    assert (over.expected, over.replayed, over.gone) == (1, 1, 0)
    assert [event.type for event in sink.delivered] == ["update"]
