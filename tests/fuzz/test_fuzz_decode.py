"""The whole extension, in an interpreter under ASan and UBSan, beside the fallback."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus" / "records"
RUNS = int(os.environ.get("FUZZ_RUNS", "300000")) // 100


def test_c_and_the_fallback_agree_on_any_bytes(make: Callable[[str], Path], compiler: str) -> None:
    """Whatever the bytes, both come to the same, and C touches no memory but its own."""
    folder = make("sanitize") / "asan"
    runtimes = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    seed = random.SystemRandom().randrange(2**32)

    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("decode_program.py")),
            str(next(folder.glob("_native*"))),
            str(CORPUS),
            str(seed),
            str(RUNS),
        ],
        env={
            **os.environ,
            # The interpreter itself was not built with ASan, whose runtime must come first; it
            # also keeps its own memory to the end, which is no leak of ours.
            "LD_PRELOAD": " ".join(runtimes),
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONMALLOC": "malloc",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, f"{RUNS} runs\n"), f"seed {seed}:\n{done.stderr}"
