"""Receiving in C, under ASan and UBSan: any parts of messages give blocks and bad frames."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

CORPUS = sorted((Path(__file__).parent / "corpus_receive").iterdir())
RUNS = int(os.environ.get("FUZZ_RUNS", "100000"))


def test_any_parts_are_kept_or_counted(make: Callable[[str], Path], compiler: str) -> None:
    """Of each table what is kept is a prefix of what came; whatever topics come and go."""
    program = make("fuzz") / "fuzz_receive"
    seed = random.SystemRandom().randrange(2**32)
    if "clang" in Path(compiler).name:
        arguments = [f"-seed={seed}", f"-runs={RUNS}", str(CORPUS[0].parent)]
    else:
        arguments = [str(seed), str(RUNS), *map(str, CORPUS)]

    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"seed {seed}:\n{done.stderr}"
