"""From a snapshot to Prometheus families, at every scrape.

The rooms keep plain counters and know nothing of Prometheus. As all numbers of a scrape come
from one snapshot, received = delivered + dead_lettered + discarded + pending holds in it for
every sink and table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from bridge import __version__
from bridge.admin.exposition import Family, joined
from bridge.codec import IMPLEMENTATION
from bridge.events import GapReason
from bridge.journal import LetterSum
from bridge.loop import Loop
from bridge.monitor.states import State
from bridge.supervisor import Reloads, Snapshot, Supervisor

_PREFIX = "kinetica_bridge_"
_RECEIVED_TYPES = ("insert", "update", "delete", "read")
_REASONS: tuple[str, ...] = get_args(GapReason)


class BridgeCollector:
    """Collects everything the bridge counts, and what the library finds out about its process.

    Args:
        supervisor: the service.
        loops: gives the loops of the process.
        process: what is known of the process.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        loops: Callable[[], list[Loop]],
        process: CollectorRegistry,
    ) -> None:
        self._supervisor = supervisor
        self._loops = loops
        self._process = process

    def collect(self) -> Iterator[Family | Metric]:
        """Yield the families of one snapshot; few before the journal is open."""
        yield from _of_process(self._supervisor.reloads, self._loops())
        yield from self._process.collect()
        snapshot = self._supervisor.snapshot()
        if snapshot is None:
            return
        yield from _of_bridge(snapshot)
        yield from _of_tables(snapshot)
        yield from _of_sinks(snapshot)
        yield from _of_journal(snapshot)


def _counter(name: str, text: str, *labels: str) -> Family:
    return Family(CounterMetricFamily, _PREFIX + name, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Family:
    return Family(GaugeMetricFamily, _PREFIX + name, text, labels)


def _of_process(reloads: Reloads, loops: Iterable[Loop]) -> Iterator[Family | Metric]:
    info = InfoMetricFamily(_PREFIX + "build", "Version of the bridge and the codec it runs.")
    info.add_metric((), {"version": __version__, "codec": IMPLEMENTATION})
    yield info

    good = _gauge("config_last_reload_successful", "1 if the configuration was last taken over.")
    good.add((), float(reloads.successful))
    yield good
    at = _gauge("config_last_reload_success_timestamp_seconds", "When it last was.")
    at.add((), reloads.success_at)
    yield at
    needed = _gauge("restart_needed", "1 if the file says what only a restart takes over.")
    needed.add((), float(bool(reloads.restart_needed)))
    yield needed

    faults = _counter("loop_faults", "Passes of a thread's loop that failed.", "loop")
    counts: Counter[str] = Counter()
    for loop in loops:
        counts[loop.name] += loop.faults
    for name, count in counts.items():
        faults.add((name,), count)
    yield faults


def _of_bridge(snapshot: Snapshot) -> Iterator[Family]:
    failovers = _counter("failovers", "Moves from cluster to cluster.", "from", "to")
    moves = {(a, b): 0 for a in snapshot.ring for b in snapshot.ring if a != b}
    for (left, to), count in (moves | dict(snapshot.failovers)).items():
        failovers.add((left, to), count)
    yield failovers

    queued = _gauge("intake_queued_bytes", "Received and not yet in the journal.")
    queued.add((), snapshot.queued_bytes)
    yield queued

    dropped = _counter(
        "intake_dropped_notifications",
        "Notifications that found the intake full.",
    )
    dropped.add((), snapshot.dropped_notifications)
    yield dropped

    unknown = _counter("unknown_topic_messages", "Messages on topics that are none of ours.")
    unknown.add((), snapshot.unknown_messages)
    yield unknown


def _of_tables(snapshot: Snapshot) -> Iterator[Family]:
    tables = snapshot.tables.values()
    counts, progress = [table.counts for table in tables], [table.progress for table in tables]
    names = tuple(snapshot.tables)

    states, every = [table.state for table in tables], tuple(State)
    yield _gauge("table_state", "1 for the state a table is in.", "table", "state").extend(
        _pairs(names, every), (float(state is one) for state in states for one in every)
    )
    yield _counter("received_events", "Events received from Kinetica.", "table", "type").extend(
        _pairs(names, _RECEIVED_TYPES),
        (each.received[type_] for each in counts for type_ in _RECEIVED_TYPES),
    )
    yield _counter("received_bytes", "Bytes of notifications received.", "table").extend(
        names, (each.bytes for each in counts)
    )
    text = "Frames that were no record of their table."
    yield _counter("decode_errors", text, "table").extend(
        names, (each.decode_errors for each in counts)
    )
    yield _counter("gaps", "Gaps declared.", "table", "reason").extend(
        _pairs(names, _REASONS), (each.gaps[reason] for each in counts for reason in _REASONS)
    )
    yield _gauge("gaps_open", "Gaps not closed.", "table").extend(
        names, (each.gaps_open for each in counts)
    )
    text = "When a gap was last declared."
    yield _gauge("last_gap_timestamp_seconds", text, "table").extend(
        names, (each.last_gap for each in counts)
    )
    text = "When the last event was received."
    yield _gauge("last_event_timestamp_seconds", text, "table").extend(
        names, (each.last_event for each in counts)
    )
    text = "When a probe last found all well."
    yield _gauge("last_probe_timestamp_seconds", text, "table").extend(
        names, (each.last_probe for each in counts)
    )
    text = "Rows of the table looked at by the present read."
    yield _gauge("reading_rows", text, "table").extend(
        names, (each.done if each else 0 for each in progress)
    )
    yield _gauge("reading_expected_rows", "Rows the present read has in all.", "table").extend(
        names, (each.expected if each else 0 for each in progress)
    )
    yield _gauge("unaccounted_rows", "Rows the last audit found missing.", "table").extend(
        names, (each.unaccounted for each in counts)
    )


@lru_cache(maxsize=4)
def _pairs(first: tuple[str, ...], second: tuple[str, ...]) -> list[str]:
    """Return two labels of each pair as a family has them."""
    return [joined(one, other) for one in first for other in second]


def _of_sinks(snapshot: Snapshot) -> Iterator[Family]:
    accounts = snapshot.accounts
    lanes = {(account.sink, account.table): 0 for account in accounts}
    labels = [joined(*lane) for lane in lanes]
    of_lane = ("sink", "table")
    text = "Events of the table for the sink."
    yield _counter("sink_received_events", text, *of_lane).extend(
        labels, (account.received for account in accounts)
    )
    text = "Events the sink's destination confirmed."
    yield _counter("sink_delivered_events", text, *of_lane).extend(
        labels, (account.delivered for account in accounts)
    )
    text = "Events set aside with a reason."
    yield _counter("sink_dead_lettered_events", text, *of_lane).extend(
        labels, (account.dead_lettered for account in accounts)
    )
    text = "Events dropped by a stated policy."
    yield _counter("sink_discarded_events", text, *of_lane).extend(
        labels, (account.discarded for account in accounts)
    )
    text = "Events in the journal, not settled yet."
    yield _gauge("sink_pending_events", text, *of_lane).extend(
        labels, (account.pending for account in accounts)
    )
    text = "Age of the oldest event not yet acknowledged."
    yield _gauge("sink_lag_seconds", text, *of_lane).extend(
        labels, (snapshot.lags[lane] for lane in lanes)
    )
    text = "Events delivered again on request; no part of the sums above."
    replayed = _counter("sink_replayed_events", text, *of_lane)
    for lane, events in (lanes | dict(snapshot.replayed)).items():
        if lane[0] in snapshot.sinks:
            replayed.add(lane, events)
    yield replayed

    yield from _of_letters(snapshot, lanes)

    failing = _gauge("sink_failing", "1 while the sink's destination does not accept.", "sink")
    waiting = _gauge("sink_waiting_tables", "Tables whose lane waits on its own.", "sink")
    attempts = _counter("sink_attempts", "Batches handed to the sink, retries included.", "sink")
    retries = _counter("sink_retries", "Attempts that came to nothing.", "sink")
    busy = _counter("sink_busy_seconds", "Time spent waiting for the destination.", "sink")
    for name, stats in snapshot.sinks.items():
        failing.add((name,), float(stats.error is not None))
        waiting.add((name,), len(stats.waiting))
        attempts.add((name,), stats.attempts)
        retries.add((name,), stats.retries)
        busy.add((name,), stats.busy_seconds)
    yield from (failing, waiting, attempts, retries, busy)


def _of_letters(snapshot: Snapshot, lanes: Iterable[tuple[str, str]]) -> Iterator[Family]:
    letters = dict.fromkeys(lanes, LetterSum(0, 0, 0)) | dict(snapshot.letters)
    labels = [joined(*lane) for lane in letters]
    kept = _gauge("dead_letters", "Events set aside that are still kept.", "sink", "table")
    yield kept.extend(labels, (each.count for each in letters.values()))
    size = _gauge("dead_letters_bytes", "What they take on disk, about.", "sink", "table")
    yield size.extend(labels, (each.bytes for each in letters.values()))
    text = "Dead letters deleted for their size or age."
    gone = _counter("dead_letters_discarded", text, "sink", "reason")
    every = {(sink, reason): 0 for sink in snapshot.sinks for reason in ("age", "size")}
    for (sink, reason), events in (every | dict(snapshot.letters_pruned)).items():
        gone.add((sink, reason), events)
    yield gone


def _of_journal(snapshot: Snapshot) -> Iterator[Family | Metric]:
    stats = snapshot.journal
    for name, text, value in (
        ("journal_bytes", "What the events in the journal take on disk.", stats.bytes),
        ("journal_max_bytes", "Size at which journal.on_full applies.", stats.max_bytes),
        ("journal_segments", "Files the journal consists of.", stats.segments),
        ("journal_head_offset", "Offset that the next event gets.", stats.head),
        ("journal_oldest_offset", "Offset of the oldest event kept.", stats.oldest),
        (
            "journal_oldest_timestamp_seconds",
            "When the oldest event kept was received; 0 if there is none.",
            (stats.oldest_time or 0) / 1e6,
        ),
    ):
        gauge = _gauge(name, text)
        gauge.add((), value)
        yield gauge
    for name, text, value in (
        ("journal_appended_events", "Events written to the journal.", stats.appended_events),
        ("journal_appended_bytes", "Record bytes written to the journal.", stats.appended_bytes),
        ("journal_discarded_events", "Events no sink got, by policy or damage.", stats.discarded),
        ("journal_damaged_spans", "Spans found unreadable.", stats.damaged),
    ):
        counter = _counter(name, text)
        counter.add((), value)
        yield counter
    commits = HistogramMetricFamily(
        _PREFIX + "journal_commit_seconds", "Time of a commit, fsync included: the loss window."
    )
    total, buckets = 0, []
    for bound, count in zip((*stats.commits.bounds, "+Inf"), stats.commits.counts, strict=True):
        total += count
        buckets.append((str(bound), float(total)))
    commits.add_metric((), buckets, stats.commits.seconds)
    yield commits
