"""A Python program in a process of its own, which a test reads and tells to go on."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self


class PythonProgram:
    """Runs from the start until `end`, or the end of its block; read line by line.

    Args:
        arguments: of the interpreter.
        stderr: as `Popen` has it.
    """

    def __init__(self, *arguments: str, stderr: int | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},  # as for the tests
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def line(self) -> str:
        """Return the next line, without spaces around it; empty once it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        """Send it the line that it waits for."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Kill it, if it still runs."""
        self.process.kill()
        self.process.communicate()


class PatientProgram(PythonProgram):
    """A program whose lines are read by a thread, so that none is waited for without end.

    Args:
        arguments: of the interpreter.
        stderr: as `Popen` has it.
        patience: seconds that a line is waited for.
    """

    def __init__(self, *arguments: str, stderr: int | None = None, patience: float) -> None:
        super().__init__(*arguments, stderr=stderr)
        self._patience = patience
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def line(self) -> str:
        """Return the next line as it came; empty once it has ended.

        Raises:
            queue.Empty: none came in time.
        """
        return self._lines.get(timeout=self._patience)

    def end(self) -> None:
        """Kill it, if it still runs."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                # What could not be sent to a program that has ended is of no interest.
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
