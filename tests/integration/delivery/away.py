"""Run as a process: rows wait for a destination that is away; prints how many bytes it grew.

Arguments: the folder of the journal, the bytes of a row, and how many tables wait, each by itself.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from services.delivery import TABLE, ScriptedSink, output, settings, zigzag
from services.process import wait_until

from bridge.delivery.encoding import Encoder
from bridge.delivery.worker import Worker
from bridge.errors import Reject, Retry
from bridge.events import Block, Column, Schema
from bridge.journal import Journal
from bridge.sinks import Batch, Batching, Retrying

_SCHEMA = Schema("7", (Column("a", "string", "string"),))
_TOTAL = 24 * 2**20


def resident() -> int:
    """Return the highest resident size so far, in bytes."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in text.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def main(folder: str, size: int, lanes: int) -> None:
    """Let rows of `size` bytes wait: refused first, each table by itself, then all away."""
    tables = [TABLE, *(f"ki_home.t{n}" for n in range(1, lanes))]
    text = size - max(1, len(zigzag(size)))
    row = zigzag(text) + b"x" * text
    count = max(1, (2**20 if lanes == 1 else 4096) // len(row))
    with Journal(Path(folder) / "j") as journal:
        journal.register("s", tables)
        worker = Worker("s", journal, Encoder(journal.id))
        sink, away = ScriptedSink(), threading.Event()

        def deliver(batch: Batch) -> None:
            if away.is_set():
                raise Retry("away")
            if lanes == 1 and sink.opened % 2:
                raise Reject("no")
            for table in batch.tables:
                batch.fail(table, Reject("no"))

        sink.deliver = deliver  # type: ignore[method-assign]

        def append(table: str) -> None:
            times = ((count, 5),)
            journal.append([Block(table, "c", "insert", _SCHEMA, row * count, count, times)])

        append(TABLE)
        before = resident()
        changes = {"batch": Batching(), "retry": Retrying(max_backoff="50ms")}
        worker.configure(sink, settings().model_copy(update=changes), tables, output())
        worker.start()
        for table in tables[1:] or [TABLE] * (_TOTAL // 2**20):
            append(table)
        if lanes > 1:
            wait_until(lambda: len(worker.stats().waiting) == lanes, "all wait", 500)
            away.set()
        tries = worker.stats().retries + 40 + lanes
        wait_until(lambda: worker.stats().retries > tries, "many tries", 500)
        worker.stop()
        assert worker.join(20)
        print(resident() - before)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
