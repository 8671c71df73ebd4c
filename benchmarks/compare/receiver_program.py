"""Where the service delivers to: a webhook receiver that writes the same log as the clients.

    receiver_program.py LOG BUSY_SECONDS

Prints its URL once it listens, and ends with its stdin. It works BUSY_SECONDS on each event, as
the clients' callbacks do on each record, before it answers.
"""

from __future__ import annotations

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson


def main() -> None:
    path, busy_seconds = Path(sys.argv[1]), float(sys.argv[2])
    out = path.open("ab", buffering=0)
    lock = threading.Lock()

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            now = time.monotonic_ns()
            events = orjson.loads(body)
            lines = []
            for event in events:
                row = event["type"] in ("insert", "read")
                told = [now, "row", event["record"]] if row else [now, event["type"], event]
                lines.append(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
            with lock:
                out.write(b"".join(lines))
            until = time.perf_counter() + busy_seconds * len(events)
            while busy_seconds and time.perf_counter() < until:
                pass
            self.send_response(204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base names it)
            """Keep requests out of stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}/", flush=True)
    sys.stdin.read()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
