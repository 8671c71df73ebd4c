"""The C code without Python, under ASan and UBSan: any bytes give what the target's top says."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CORPUS = Path(__file__).parent / "corpus"
RUNS = int(os.environ.get("FUZZ_RUNS", "300000"))


@pytest.mark.parametrize(
    ("target", "corpus"),
    [
        ("walk", "records"),
        ("transcode", "records"),
        ("avro", "records"),
        ("csv", "records"),
        ("digest", "records"),
        ("sha256", "json"),
        ("embed", "json"),
        ("receive", "messages"),
    ],
)
def test_any_bytes_give_a_verdict(
    make: Callable[[str], Path], compiler: str, target: str, corpus: str
) -> None:
    """No access strays, nothing overflows, and the first lines of the target hold."""
    program = make(f"fuzz_{target}") / f"fuzz_{target}"
    seed = random.SystemRandom().randrange(2**32)

    done = subprocess.run(
        [program, f"-seed={seed}", f"-runs={RUNS}", CORPUS / corpus],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, f"seed {seed}:\n{done.stderr}"
