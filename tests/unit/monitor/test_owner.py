"""Whose table monitors are: named for good, or after a process that can be proven to have ended."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from bridge.monitor.naming import monitor_id
from bridge.monitor.owner import Claims, Process, left_behind, name_instance


def monitor(instance: str) -> str:
    return monitor_id(instance, "ki_home.t", None, "insert", "7")


def ended_process() -> str:
    """Return the monitor of a process that has ended."""
    program = (
        "from bridge.monitor.owner import name_instance; print(name_instance(None, 'ki_home.t'))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return monitor(ran.stdout.strip())


def test_a_name_finds_its_monitors_again() -> None:
    """The same name and table make the same mark, anything else another one."""
    marks = {name_instance(name, table) for name in ("a", "b", "a\0t") for table in ("s.t", "s.u")}

    assert len(marks) == 6
    assert marks == {
        name_instance(name, table) for name in ("a", "b", "a\0t") for table in ("s.t", "s.u")
    }
    assert all(re.fullmatch("[0-9a-f]{16}", mark) for mark in marks)


def test_a_run_without_a_name_has_its_own() -> None:
    """Two of one process differ."""
    assert name_instance(None, "s.t") != name_instance(None, "s.t")


def test_an_id_of_a_monitor_is_a_name_of_a_table() -> None:
    """Letters, digits and underscores, at most 200 of them (protocol, section 4.1)."""
    for name in (None, "stock alerts, München"):
        assert re.fullmatch(r"[A-Za-z0-9_]{1,200}", monitor(name_instance(name, "s.t")))


def test_what_a_process_that_has_ended_left_is_found() -> None:
    """And nothing of this one, of a named one, of the service, or of anybody else."""
    gone = ended_process()
    others = {
        monitor(name_instance(None, "s.t")),
        monitor(name_instance("a", "s.t")),
        monitor("0a1b2c3d"),
        "somebody_elses",
        gone.replace("kbridge", "xbridge"),
    }

    assert left_behind({gone, *others}) == {gone}


def test_only_what_can_be_proven_is_said() -> None:
    """A living process, and one of another place, have not ended; an id used again has."""
    present = Process.present()
    assert present is not None

    assert not present.ended
    assert not Process("0" * 16, 2**22 + 1, 1).ended
    assert Process(present.place, 2**22 + 1, 1).ended  # above any id there is
    assert replace(present, started=present.started - 1).ended


@pytest.mark.parametrize("pid", [2**31, 2**63, 10**30])
def test_a_process_id_that_cannot_be_is_no_proof(pid: int) -> None:
    """It is left alone, and harms nobody."""
    present = Process.present()
    assert present is not None

    assert not Process(present.place, pid, 1).ended


def test_what_is_claimed_is_had_by_one() -> None:
    """Until it is released, or the process is another one."""
    claims = Claims()

    assert claims.claim(frozenset("ab"))
    assert not claims.claim(frozenset("bc"))
    assert claims.claim(frozenset("c"))
    claims.release(frozenset("ab"))
    assert claims.claim(frozenset("b"))
    claims.forget()
    assert claims.claim(frozenset("abc"))
