"""Runs in an interpreter of its own: MODULE CORPUS SEED RUNS, mutations of the corpus.

The corpus files are those of fuzz_walk.c, read as it reads them.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from typing import Any

BASES = ("int", "long", "float", "double", "string", "bytes", "string", "int")
BOUNDS = ((-(2**63), 2**63 - 1), (-128, 127), (-32768, 32767), (0, 4))


def load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("_native", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def operations_of(choices: bytes) -> list[tuple[str, str, bool, int, int]]:
    return [
        (f"c{place}", BASES[choice & 7], bool(choice & 8), *BOUNDS[(choice >> 4) % 4])
        for place, choice in enumerate(choices)
    ]


def mutated(generator: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(generator.randrange(6)):
        at = generator.randrange(len(data) + 1)
        taken, put = generator.randrange(3), generator.randrange(3)
        data[at : at + taken] = generator.choices((0, 1, 2, 4, 0x7F, 0x80, 0xED, 0xFF), k=put)
    return bytes(data)


def verdict(module: Any, call: Any, payload: bytes, count: int) -> Any:
    try:
        return call(payload, count)
    except module.Malformed as malformed:
        return malformed


def check(module: Any, data: bytes) -> None:
    columns = 1 + data[0] % 16 if data else 0
    if not data or len(data) < 1 + columns:
        return
    plan = module.Plan(operations_of(data[1 : 1 + columns]))
    payload = data[1 + columns :]

    bad = plan.validate([payload])
    for count in (1, 2, 1000):
        decoded = verdict(module, plan.decode, payload, count)
        split = verdict(module, plan.split, payload, count)
        if isinstance(decoded, module.Malformed):
            assert decoded.args == split.args, data.hex()
        else:
            assert len(decoded) == count, data.hex()
            assert b"".join(split) == payload, data.hex()
            assert plan.validate(split) == [], data.hex()
        if count == 1:
            assert bad == ([decoded.args] if isinstance(decoded, module.Malformed) else [])


def main(path: str, corpus: str, seed: str, runs: str) -> None:
    module = load(path)
    generator = random.Random(int(seed))
    seeds = [file.read_bytes() for file in sorted(Path(corpus).iterdir())]
    for data in seeds:
        check(module, data)
    for _ in range(int(runs)):
        check(module, mutated(generator, generator.choice(seeds)))
    print(f"{runs} runs")


if __name__ == "__main__":
    main(*sys.argv[1:])
