"""Small libraries in C that are preloaded into processes under test."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path


class CompilerMissing(RuntimeError):
    """There is no C compiler here."""


@functools.cache
def compiled(name: str) -> Path:
    """Compile one of the sources beside this module; return the library.

    Raises:
        CompilerMissing: it cannot be compiled here.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CompilerMissing("no C compiler")
    library = Path(tempfile.mkdtemp()) / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True)
    return library
