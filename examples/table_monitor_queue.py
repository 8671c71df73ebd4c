"""The table monitor client in an application that has a thread of its own.

    python examples/table_monitor_queue.py http://localhost:9191

The client calls back from its own thread. Here the callbacks do nothing but put what they are
told into a queue, and a thread of the application takes it out: it may be as slow as it likes,
and needs no locks. The queue has no limit; give it one, and the client waits where it is full,
keeps what arrives meanwhile, and says what it had to let go.
"""

from __future__ import annotations

import argparse
import queue
import threading
from typing import Any, NamedTuple

from weather_table import WeatherTable

from bridge.monitor import Callback, Client, Options


class News(NamedTuple):
    """One thing that happened to the table."""

    kind: str
    value: Any


class QueuedMonitor(Client):
    """Puts every event of one table into a queue.

    Args:
        db: a URL of Kinetica, several of them, or a connected `gpudb.GPUdb`.
        table_name: the table.
        news: the queue.
        options: how to monitor it.
    """

    def __init__(
        self, db: Any, table_name: str, news: queue.Queue[News], options: Options | None = None
    ) -> None:
        self._news = news
        heard = {
            Callback.Type.INSERT_DECODED: "inserted",
            Callback.Type.UPDATED: "updated",
            Callback.Type.DELETED: "deleted",
            Callback.Type.TABLE_ALTERED: "altered",
            Callback.Type.TABLE_DROPPED: "dropped",
        }
        error = self._putter("error")  # one for all: it is told once of what concerns all
        callbacks = [Callback(kind, self._putter(word), error) for kind, word in heard.items()]
        super().__init__(db, table_name, callbacks, options)

    def _putter(self, kind: str) -> Any:
        return lambda value: self._news.put(News(kind, value))


class Application(threading.Thread):
    """What the news are for: here it prints them, and keeps the last temperature of each city.

    Ends with the news that the table was dropped.
    """

    def __init__(self, news: queue.Queue[News]) -> None:
        super().__init__(name="application")
        self._news = news
        self.latest: dict[str, float] = {}

    def run(self) -> None:
        """Take one thing after another out of the queue."""
        while True:
            news = self._news.get()
            print(f"{news.kind}: {news.value}", flush=True)
            if news.kind == "inserted":
                self.latest[news.value["city"]] = news.value["temperature"]
            if news.kind == "dropped":
                return


def main() -> None:
    """Run the application beside the monitor while the table is changed."""
    parser = argparse.ArgumentParser(description="Queues what happens to a table in Kinetica.")
    parser.add_argument("url", help="http[s]://[user:password@]host[:port]")
    parser.add_argument("--table", default="examples.weather_queue", help="made anew, then dropped")
    arguments = parser.parse_args()

    news: queue.Queue[News] = queue.Queue()
    application = Application(news)
    table = WeatherTable(arguments.url, arguments.table)
    # Minutes: whether the table still exists is asked this often where nothing happens.
    monitor = QueuedMonitor(
        arguments.url, arguments.table, news, Options({"inactivity_timeout": 0.02})
    )
    with monitor:
        application.start()
        for _ in range(3):
            table.report(5)
        table.correct(1, 5)
        table.forget(10)
        table.drop()
        application.join()
    for city, temperature in sorted(application.latest.items()):
        print(f"{city}: {temperature}")


if __name__ == "__main__":
    main()
