"""The walk in C, under ASan and UBSan: any bytes give a verdict."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
RUNS = int(os.environ.get("FUZZ_RUNS", "300000"))


def test_any_bytes_give_a_verdict(make: Callable[[str], Path], compiler: str) -> None:
    """No read strays outside of the bytes, nothing overflows, every fault lies within."""
    program = make("fuzz") / "fuzz_walk"
    seed = random.SystemRandom().randrange(2**32)
    if "clang" in Path(compiler).name:
        arguments = [f"-seed={seed}", f"-runs={RUNS}", str(CORPUS[0].parent)]
    else:
        arguments = [str(seed), str(RUNS), *map(str, CORPUS)]

    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"seed {seed}:\n{done.stderr}"
