"""Run as a process: rows wait for a destination that is away; prints how many bytes it grew."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from services.delivery import TABLE, ScriptedSink, settings, zigzag
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


def main(folder: str, size: int) -> None:
    """Let rows of `size` bytes wait: refused one by one first, then away."""
    row = zigzag(size - 1 if size < 65 else size - 2) + b"x" * (size - 1 if size < 65 else size - 2)
    with Journal(Path(folder) / "j") as journal:
        journal.register("s", [TABLE])
        worker = Worker("s", journal, Encoder(journal.id, {}))
        sink, tries = ScriptedSink(), threading.Semaphore(0)

        def deliver(batch: Batch) -> None:
            tries.release()
            if len(batch.slices) and sink.opened % 2:
                raise Reject("no")
            raise Retry("away")

        sink.deliver = deliver  # type: ignore[method-assign]
        count = 2**20 // len(row)
        block = Block(TABLE, "c", "insert", _SCHEMA, row * count, count, ((count, 5),))
        journal.append([block])
        before = resident()
        worker.configure(
            sink,
            settings().model_copy(
                update={"batch": Batching(), "retry": Retrying(max_backoff="50ms")}
            ),
            [TABLE],
        )
        worker.start()
        for _ in range(_TOTAL // 2**20):
            journal.append([block])
        wait_until(lambda: worker.stats().retries > 40, "many tries")
        worker.stop()
        assert worker.join(20)
        print(resident() - before)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
