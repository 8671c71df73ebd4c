"""The service as a process: its signals, its pages, its log, its end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gpudb
import pytest
import yaml
from services.process import COMMAND, BridgeProcess, EmulatorProcess, free_port, wait_until

TABLE = "ki_home.orders"


def make_table(db: gpudb.GPUdb) -> gpudb.GPUdbTable:
    return gpudb.GPUdbTable([["id", "long", "primary_key"]], name=TABLE, db=db)


def configuration(folder: Path, url: str, **more: Any) -> dict[str, Any]:
    return {
        "kinetica": {"urls": [url]},
        "journal": {"path": str(folder / "journal")},
        "tables": [{"name": TABLE}],
        "sinks": {"out": {"type": "file", "path": str(folder / "{table}.jsonl")}},
        **more,
    }


@contextlib.contextmanager
def started(config_file: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """`run` with its streams where the test wants them."""
    process = subprocess.Popen(
        [*COMMAND, "run", "-c", str(config_file)], start_new_session=True, **options
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def written(folder: Path, config: Mapping[str, Any]) -> Path:
    path = folder / "bridge.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def asked(url: str, method: str = "GET") -> tuple[int, bytes, str]:
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read(), reply.headers["Content-Length"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers["Content-Length"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after", ["handlers", "port"])
def test_a_signal_ends_a_service_that_is_starting(
    tmp_path: Path, number: signal.Signals, after: str
) -> None:
    """From when the command can handle one: exit code 0, also where no cluster answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        port = free_port()
        config = configuration(tmp_path, url, admin={"listen": f"127.0.0.1:{port}"})
        with started(written(tmp_path, config), stderr=subprocess.DEVNULL) as process:
            if after == "handlers":
                wait_until(lambda: catches(process.pid, signal.SIGHUP), "the last handler")
            else:
                wait_until(lambda: answers(f"http://127.0.0.1:{port}/livez"), "the port")

            process.send_signal(number)

            assert process.wait(10) == 0


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler of its own for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(line.split()[1], 16) & 1 << (number - 1))


def answers(url: str) -> bool:
    try:
        return asked(url)[0] == 200
    except OSError:
        return False


def test_head_gives_what_get_gives_but_the_body(kinetica: EmulatorProcess, tmp_path: Path) -> None:
    """On every page, its length included."""
    with BridgeProcess(tmp_path, configuration(tmp_path, kinetica.url)) as bridge:
        wait_until(lambda: bridge.get_json("/readyz")[0] == 200, "it is ready")

        for page in ("/livez", "/readyz", "/nothing"):
            status, body, length = asked(bridge.admin + page)
            assert asked(bridge.admin + page, "HEAD") == (status, b"", length)
            assert int(length) == len(body)
        assert asked(bridge.admin + "/metrics", "HEAD")[:2] == (200, b"")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize(
    ("listen", "reached"),
    [
        ("[::]", ["127.0.0.1", "[::1]"]),
        ("[::1]", ["[::1]"]),
        ("localhost", ["localhost", "127.0.0.1"]),
    ],
)
def test_the_pages_are_served_on_every_address_that_was_named(
    kinetica: EmulatorProcess, tmp_path: Path, listen: str, reached: list[str]
) -> None:
    """`::` is IPv6 and IPv4; a name is every address that it stands for."""
    port = free_port()
    config = configuration(tmp_path, kinetica.url, admin={"listen": f"{listen}:{port}"})
    with started(written(tmp_path, config), stderr=subprocess.DEVNULL):
        for host in reached:
            wait_until(lambda h=host: answers(f"http://{h}:{port}/livez"), f"{host} answers")


def test_a_port_that_is_taken_is_said_before_anything_starts(tmp_path: Path) -> None:
    """Exit code 1, the address in the message; no journal was made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        config = configuration(tmp_path, "http://127.0.0.1:1", admin={"listen": listen})
        with started(written(tmp_path, config), stderr=subprocess.PIPE) as process:
            _, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert f"cannot listen on {listen}" in errors.decode()
    assert not (tmp_path / "journal").exists()


def test_a_log_that_was_closed_before_the_start_is_done_without(
    kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """No file of ours gets the descriptor that the log would be written to."""
    port = free_port()
    config = configuration(
        tmp_path, kinetica.url, admin={"listen": f"127.0.0.1:{port}"}, log={"level": "debug"}
    )
    with started(written(tmp_path, config), preexec_fn=lambda: os.close(2)) as process:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/livez"), "the port")

        assert Path(f"/proc/{process.pid}/fd/2").readlink() == Path("/dev/null")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_metrics_are_there_from_the_start(kinetica: EmulatorProcess, tmp_path: Path) -> None:
    """Counters that have not counted yet are 0 with their labels, not absent."""
    with BridgeProcess(tmp_path, configuration(tmp_path, kinetica.url)) as bridge:
        wait_until(lambda: bridge.get_json("/readyz")[0] == 200, "it is ready")
        samples = dict(bridge.metrics().keys())

        lane = (("sink", "out"), ("table", TABLE))
        for name in ("received", "delivered", "dead_lettered", "discarded"):
            assert samples[f"kinetica_bridge_sink_{name}_events_total"] == lane
        assert samples["kinetica_bridge_sink_pending_events"] == lane
        assert samples["kinetica_bridge_sink_lag_seconds"] == lane
        loops = {
            dict(labels)["loop"]
            for name, labels in bridge.metrics()
            if name == "kinetica_bridge_loop_faults_total"
        }
        assert {"admin", "control", "upkeep"} <= loops


def test_threads_do_not_grow_with_tables(
    db: gpudb.GPUdb, kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """Forty tables are looked after by as many threads as one."""
    names = [f"ki_home.t{number}" for number in range(40)]
    for name in names:
        gpudb.GPUdbTable([["id", "long"]], name=name, db=db)
    threads: dict[int, int] = {}

    def count(pid: int) -> int:
        # The threads of requests to the admin endpoint come and go.
        tasks = Path(f"/proc/{pid}/task")
        return min(len(list(tasks.iterdir())) for _ in range(20))

    for tables in (1, len(names)):
        folder = tmp_path / str(tables)
        folder.mkdir()
        watched = [{"name": name} for name in names[:tables]]
        config = configuration(folder, kinetica.url, tables=watched)
        with BridgeProcess(folder, config) as bridge:
            bridge.wait_live()
            if tables > 1:
                wait_until(
                    lambda pid=bridge.pid: count(pid) <= threads[1],
                    f"no more threads than {threads[1]}",
                    timeout=20,
                )
            else:
                threads[tables] = count(bridge.pid)


SABOTAGE = '''
from typing import Literal

from bridge.loop import Loop
from bridge.sinks import Sink, SinkSettings


class Settings(SinkSettings):
    type: Literal["sabotage"]


def fail(*_):
    raise RuntimeError("sabotage")


class SabotageSink(Sink):
    """Lets every thread of the bridge end at its next turn, whatever that does about it."""

    Settings = Settings

    def __init__(self, settings):
        pass

    def deliver(self, batch):
        Loop.wait = Loop.note = fail
'''


def test_a_thread_that_is_gone_ends_the_process(
    db: gpudb.GPUdb, kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """Exit code 1, and the log names it: whatever starts the service starts it again."""
    table = make_table(db)
    info = tmp_path / "site" / "sabotage-1.dist-info"
    info.mkdir(parents=True)
    (info.parent / "sabotage.py").write_text(SABOTAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sabotage\nVersion: 1\n")
    entry_point = "[kinetica_bridge.sinks]\nsabotage = sabotage:SabotageSink\n"
    (info / "entry_points.txt").write_text(entry_point)
    port = free_port()
    config = configuration(
        tmp_path,
        kinetica.url,
        sinks={"bad": {"type": "sabotage"}},
        admin={"listen": f"127.0.0.1:{port}"},
        shutdown={"grace": "2s"},
    )
    env = {**os.environ, "PYTHONPATH": str(info.parent)}
    path = written(tmp_path, config)
    with (
        (tmp_path / "log").open("wb") as log,
        started(path, env=env, stderr=log) as process,
    ):
        ready = f"http://127.0.0.1:{port}/readyz"

        def live() -> bool:
            with contextlib.suppress(OSError):
                return b'"live"' in asked(ready)[1]
            return False

        wait_until(live, "the table is live")
        table.insert_records([[1]])

        assert process.wait(30) == 1
    assert '"thread_gone"' in (tmp_path / "log").read_text()
