"""A disk that fails or stalls on demand, for one process: see `disk_fault.c`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


class CompilerMissing(RuntimeError):
    """There is no C compiler here."""


class DiskFault:
    """Faults of the disk under a process that was started with `env`.

    Raises:
        CompilerMissing: without a C compiler there is none of this.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise CompilerMissing("no C compiler")
        self._folder = folder / "faults"
        self._folder.mkdir()
        library = folder / "disk_fault.so"
        source = Path(__file__).with_suffix(".c")
        subprocess.run(
            [compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True
        )
        self.env = {"LD_PRELOAD": str(library), "DISK_FAULT": str(self._folder)}

    def begin(self, fault: str, where: str) -> None:
        """Put a fault in force for each file whose path has `where` in it."""
        written = self._folder / "new"
        written.write_text(where)
        written.rename(self._folder / fault)

    def end(self, fault: str) -> None:
        """End a fault."""
        (self._folder / fault).unlink()

    def met(self, fault: str) -> int:
        """Return how often a fault was met so far."""
        met = self._folder / f"{fault}.met"
        return met.stat().st_size if met.exists() else 0
