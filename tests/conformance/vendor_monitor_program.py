"""A program on the vendor's monitor client: prints every callback as a line of JSON.

Usage: vendor_monitor_program.py URL MONITOR_PORT TABLE

The vendor's constructor can hang for good, the more easily the busier the machine (protocol,
section 4.5): it is left behind on its thread then, and tried again on another.
"""

from __future__ import annotations

import json
import os
import sys
import threading

import gpudb
from gpudb import GPUdbTableMonitor as Monitor

CONSTRUCTION_SECONDS = 3.0
ATTEMPTS = 20

url, monitor_port, table = sys.argv[1:]
telling = threading.Lock()


def tell(kind: str, value: object) -> None:
    if isinstance(value, bytes):
        value = value.hex()
    elif isinstance(value, dict):
        value = {
            key: each.hex() if isinstance(each, bytes) else each for key, each in value.items()
        }
    # The vendor's watchers call back from three threads: one line at a time.
    with telling:
        print(json.dumps([kind, value]), flush=True)


def callback(kind: str) -> Monitor.Callback:
    return Monitor.Callback(
        getattr(Monitor.Callback.Type, kind),
        lambda value: tell(kind, value),
        lambda message: tell("ERROR", str(message)),
    )


kinds = ["INSERT_RAW", "INSERT_DECODED", "UPDATED", "DELETED", "TABLE_DROPPED"]
# Minutes: how soon a silent watcher asks whether its table still exists.
options = Monitor.Options({"inactivity_timeout": 0.01, "monitor_port": int(monitor_port)})
made: list[Monitor.Client] = []


def construct() -> None:
    db = gpudb.GPUdb(host=url)
    made.append(Monitor.Client(db, table, [callback(kind) for kind in kinds], options=options))


for _ in range(ATTEMPTS):
    constructing = threading.Thread(target=construct, daemon=True)
    constructing.start()
    constructing.join(CONSTRUCTION_SECONDS)
    if made:
        break
else:
    sys.exit("the vendor's monitor client hung every time")
made[0].start_monitor()
tell("STARTED", None)
sys.stdin.readline()
made[0].stop_monitor()
tell("STOPPED", None)
os._exit(0)
