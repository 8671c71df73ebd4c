"""The whole extension, in an interpreter under ASan and UBSan: decode, split and validate agree."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
RUNS = int(os.environ.get("FUZZ_RUNS", "300000")) // 20


def test_decode_split_and_validate_agree_on_any_bytes(
    make: Callable[[str], Path], compiler: str
) -> None:
    """Whatever the bytes, the three come to one verdict and touch no memory but their own."""
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
