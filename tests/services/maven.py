"""What Java programs are run from: fetched from Maven Central once, kept in `.cache`."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from .server import ServiceMissing, find_program

CACHE = Path(__file__).parent / ".cache"


def fetched(name: str, fetch: Callable[[Path], Path]) -> Path:
    """Return a folder of the cache, made at the first call.

    Args:
        name: of the folder.
        fetch: makes it somewhere in a folder that it is given.

    Raises:
        ServiceMissing: no `java` or `mvn`, or Maven could not fetch something.
    """
    find_program("java", "default-jdk-headless")
    folder = CACHE / name
    if folder.is_dir():
        return folder
    find_program("mvn", "maven")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        whole = fetch(Path(scratch))
        try:
            whole.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another run of the tests was first
                raise
    return folder


def mvn(folder: Path, *arguments: str) -> None:
    """Run Maven in a folder.

    Raises:
        ServiceMissing: it fails.
    """
    command = ["mvn", "-q", "-B", *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ServiceMissing(f"mvn could not fetch what is wanted: {run.stdout[-2000:]}")
