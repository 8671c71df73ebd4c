"""One plan carried out on one kind of service, and what is found wrong then.

`python -m chaos.round SEED FOLDER` carries out the round of a number in a process of its own.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from chaos.plans import LEAST_ROWS, Step, faults_in, make_plan, shown
from chaos.variants import VARIANTS
from chaos.world import World
from services.alive import Alive
from services.process import wait_until

RESULT = "result.json"

# Of the intake, so small that a burst does not fit.
_TIGHT_BYTES = 30_000
_FILES_PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a round was, and what is wrong.

    Attributes:
        faults: how many of its steps were faults.
        rows: that the program tried to insert.
        wrong: what does not hold; nothing is as it should be.
        seconds: it took.
    """

    faults: int
    rows: int
    wrong: Sequence[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """A plan, and the service that it is for.

    Attributes:
        seed: of the plan; with an even one rows are inserted all the while, besides.
        variant: what the table's gaps can be closed by.
        members: clusters in the ring.
        killed: whether the service has a process of its own, which is killed.
        tight: whether a burst overruns the intake.
        patient: whether nothing is written for a minute first.
    """

    seed: int
    variant: str
    members: int = 1
    killed: bool = False
    tight: bool = False
    patient: bool = False

    @classmethod
    def of(cls, seed: int) -> Self:
        """Return the round of a number; consecutive numbers have all kinds in turn."""
        return cls(seed, **_KINDS[seed % len(_KINDS)])

    def __str__(self) -> str:
        kinds = {"killed": self.killed, "tight": self.tight, "patient": self.patient}
        kind = next((kind for kind, is_it in kinds.items() if is_it), f"ring of {self.members}")
        return f"{self.variant}, {kind}"

    @property
    def plan(self) -> list[Step]:
        """What to do."""
        ring, variant = self.members > 1, VARIANTS[self.variant]
        return make_plan(self.seed, variant, ring=ring, kill=self.killed, patient=self.patient)

    def run(self, folder: Path) -> Found:
        """Carry it out.

        Args:
            folder: an empty one, for journal and files.
        """
        began, plan = time.monotonic(), self.plan
        alive, files = Alive(), open_files()
        options = {"own_process": True} if self.killed else {}
        options |= {"queue_bytes": _TIGHT_BYTES} if self.tight else {}
        load = self.seed % 2 == 0 and not self.patient
        with World(folder, VARIANTS[self.variant], members=self.members, **options) as world:
            wrong = world.run(plan, load=load)
            rows = len(world.program.ledger.rows)
        if rows < LEAST_ROWS:
            wrong.append(f"only {rows} rows, which shows nothing")
        wrong += [*alive.more(), *_left_open(files)]
        return Found(faults_in(plan), rows, wrong, time.monotonic() - began)

    def told(self, found: Found) -> str:
        """Return what is wrong, and the plan as it can be pasted into a test."""
        return "\n".join(
            [*found.wrong[:20], f"({len(found.wrong)} wrong) {self}", shown(self.seed, self.plan)]
        )


_KINDS: Sequence[dict[str, Any]] = [
    *({"variant": variant} for variant in VARIANTS),
    *({"variant": variant, "members": 2} for variant in VARIANTS),
    *({"variant": variant, "killed": True} for variant in VARIANTS),
    *({"variant": variant, "tight": True} for variant in ("key", "column")),
    # An odd number of kinds, so that each has rounds with rows all the while and without.
    *({"variant": variant, "patient": True} for variant in ("key", "column", "neither", "whole")),
]


def open_files() -> list[str]:
    """Return what this process has open."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            links.append(str(link.readlink()))
    return links


def _left_open(before: Sequence[str]) -> list[str]:
    """Wait until no more files are open than there were; else say which, and their sockets."""
    gc.collect()  # urllib3 closes a pool's connections once nothing refers to the pool
    with contextlib.suppress(AssertionError):
        fewer = "no more open files"
        wait_until(lambda: len(open_files()) <= len(before), fewer, _FILES_PATIENCE)
        return []
    left = sorted(set(open_files()) - set(before))
    connections = Path("/proc/net/tcp").read_text().splitlines()
    ours = [line for line in connections if any(name[8:-1] in line for name in left)]
    return [f"left open: {left}, {ours}"]


def heed_interrupts() -> None:
    """Have an interrupt or a termination end what runs and what it started.

    A process that a shell put into the background ignores interrupts otherwise.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def main(seed: int, folder: Path) -> int:
    """Carry out the round of a number; what is found is in `RESULT` beside its folder."""
    heed_interrupts()
    faulthandler.register(signal.SIGUSR1)  # where it stands, should it take too long
    round_ = Round.of(seed)
    found = round_.run(folder)
    (folder / RESULT).write_text(json.dumps(asdict(found)))
    if found.wrong:
        print(round_.told(found))
    return bool(found.wrong)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
