"""A bridge in a process of its own: rows into a journal, from there to Kafka in transactions.

    PYTHONPATH=tests python tests/services/exactly_once.py JOURNAL SERVERS TOPIC

Prints a line once it delivers; a line on stdin makes it stop taking in rows, deliver what is left
and print how many rows of each table there were. Rows are numbered on from those in the journal.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from services.delivery import OTHER, TABLE, WANTED, block
from services.process import wait_until

from bridge.delivery.encoding import Encoder
from bridge.delivery.worker import Worker
from bridge.journal import Journal
from bridge.sinks.kafka import KafkaSettings, KafkaSink

TABLES = (TABLE, OTHER)
KEYS = 7


def settings(servers: str, topic: str) -> KafkaSettings:
    """Return those of a sink that gives up soon, so that a test takes seconds."""
    return KafkaSettings.model_validate(
        {
            "type": "kafka",
            "bootstrap_servers": servers,
            "topic": topic,
            "transactional": True,
            "batch": {"max_events": 2_000},
            "retry": {"max_backoff": "500ms"},
            "options": {"message.timeout.ms": 5_000},
        }
    )


def main(folder: str, servers: str, topic: str) -> None:
    """Run until told to end, or killed."""
    journal = Journal(Path(folder))
    journal.open()
    journal.register("orders", TABLES)

    def stored() -> dict[str, int]:
        return {account.table: account.received for account in journal.accounts()}

    over = threading.Event()

    def insert() -> None:
        while not over.wait(0.01):
            for table, number in stored().items():
                journal.append([block(range(number, number + 50), table, KEYS)])

    worker = Worker("orders", journal, Encoder(journal.id))
    chosen = settings(servers, topic)
    sink = KafkaSink(chosen)
    worker.configure(sink, chosen, TABLES, WANTED)
    worker.start()
    thread = threading.Thread(target=insert)
    thread.start()
    wait_until(lambda: worker.stats().state == "delivering", "it delivers", 120)
    print("delivering", flush=True)
    sys.stdin.readline()
    over.set()
    thread.join()
    wait_until(lambda: not any(a.pending for a in journal.accounts()), "all is delivered", 120)
    for each in journal.accounts():
        assert each.received == each.delivered, each
    worker.stop()
    worker.join(30)
    print(json.dumps(stored()), flush=True)
    journal.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
