"""`make chaos`: rounds numbered by their seed, each in a process of its own, some at a time.

What passed is remembered in `out/chaos/passed`, one line a round, and the next call goes on
after it. The first that fails ends the call and keeps its folder; the next call begins with it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from chaos.round import RESULT, Found, Round, heed_interrupts

# A round takes a quarter of a minute; a stalled one ends itself after its own time-outs.
_PATIENCE = 600.0
_LAST_WORDS = 30.0  # for a round that was told to end


class Rounds:
    """Carries out rounds, and remembers which passed.

    Args:
        folder: for what is remembered, and for what a failed round leaves behind.
        program: what carries a round out, given its seed and an empty folder.
    """

    def __init__(self, folder: Path, program: Sequence[str] = ("-m", "chaos.round")) -> None:
        self.folder = folder
        self._program = program
        self._passed = folder / "passed"
        self._running: set[subprocess.Popen[bytes]] = set()

    @property
    def next(self) -> int:
        """The first seed that has not passed."""
        lines = self._passed.read_text().splitlines() if self._passed.exists() else []
        return int(lines[-1].split()[1]) + 1 if lines else 1

    def remember(self, line: str) -> None:
        """Note that a round passed."""
        with self._passed.open("a") as passed:
            passed.write(line + "\n")

    def carry_out(self, seed: int) -> Found:
        """Carry out the round of a number; its output is in the file `SEED.log`."""
        place, log = self.folder / str(seed), self._log(seed)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        command = [sys.executable, "-W", "error", *self._program, str(seed), str(place)]
        with log.open("wb") as out:
            # A session of its own: an interrupt reaches it once, from here.
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
            self._running.add(process)
            try:
                code = process.wait(_PATIENCE)
            except BaseException as error:
                _end(process)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                return Found(0, 0, [f"no end after {_PATIENCE:g} s"], _PATIENCE)
            finally:
                self._running.discard(process)
        if not (place / RESULT).exists():
            return Found(0, 0, [f"ended by itself with {code}"], 0.0)
        return Found(**json.loads((place / RESULT).read_text()))

    def end(self) -> None:
        """End what is under way."""
        for process in list(self._running):
            _end(process)

    def forget(self, seed: int) -> None:
        """Remove what a round left behind."""
        shutil.rmtree(self.folder / str(seed))
        self._log(seed).unlink()

    def tail(self, seed: int) -> str:
        """Return the end of a round's output."""
        return "\n".join(self._log(seed).read_text(errors="replace").splitlines()[-60:])

    def _log(self, seed: int) -> Path:
        return self.folder / f"{seed}.log"


def line_of(seed: int, found: Found) -> str:
    """Return the line that tells of a round."""
    verdict = "FALSE" if found.wrong else "holds"
    return (
        f"seed {seed:<6} {Round.of(seed)!s:<20} {found.faults:>3} faults {found.rows:>6} rows  "
        f"{verdict} {found.seconds:6.1f} s"
    )


def carry_on(rounds: Rounds, count: int, jobs: int = 1) -> int:
    """Carry out rounds after those that passed; 1 where a claim did not hold, else 0.

    Args:
        rounds: to carry out.
        count: how many, 0 to go on until an interrupt.
        jobs: how many at a time; they mostly wait.
    """
    first = rounds.next
    passed = 0
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for seed, found in _in_order(
                rounds, range(first, first + count) if count else itertools.count(first), pool, jobs
            ):
                line = _tell(rounds, seed, found)
                if not line:
                    return 1
                rounds.remember(line)
                passed += 1
        except KeyboardInterrupt:
            print(f"stopped; the next call goes on with seed {rounds.next}")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            rounds.end()
    print(f"{passed} rounds passed")
    return 0


def _in_order(
    rounds: Rounds, seeds: Iterable[int], pool: ThreadPoolExecutor, jobs: int
) -> Iterator[tuple[int, Found]]:
    """Yield what rounds have found, in the order of their seeds; some are a little ahead."""
    asked: deque[tuple[int, Future[Found]]] = deque()
    for seed in seeds:
        asked.append((seed, pool.submit(rounds.carry_out, seed)))
        if len(asked) > 2 * (jobs - 1):
            number, found = asked.popleft()
            yield number, found.result()
    for number, found in asked:
        yield number, found.result()


def repeat(rounds: Rounds, seed: int) -> int:
    """Carry out one round and remember nothing; 1 where a claim did not hold, else 0."""
    return 0 if _tell(rounds, seed, rounds.carry_out(seed)) else 1


def _tell(rounds: Rounds, seed: int, found: Found) -> str:
    """Tell of a round; return its line, or nothing where a claim is false."""
    line = line_of(seed, found)
    print(line, flush=True)
    if not found.wrong:
        rounds.forget(seed)
        return line
    print(rounds.tail(seed))
    print(f"\n{found.wrong[0]}\nall of it in {rounds.folder}/{seed}.log")
    print(f"again: make chaos SEED={seed}")
    return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have a round say where it stands, and end with what it started."""
    process.send_signal(signal.SIGUSR1)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_LAST_WORDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> int:
    """Carry out what the command line says."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("out/chaos"))
    parser.add_argument("--rounds", type=int, default=50, help="0 to go on until stopped")
    parser.add_argument("--jobs", type=int, default=1, help="so many at a time")
    parser.add_argument("--seed", type=int, help="carry out this one alone, and remember nothing")
    options = parser.parse_args()
    heed_interrupts()
    rounds = Rounds(options.folder)
    if options.seed is not None:
        return repeat(rounds, options.seed)
    return carry_on(rounds, options.rounds, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
