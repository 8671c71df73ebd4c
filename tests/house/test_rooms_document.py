"""Rooms, threads and log lines are in the documents as they are in the code."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BRIDGE = ROOT / "bridge"
PACKAGES = sorted(path.parent for path in BRIDGE.rglob("__init__.py") if path.parent != BRIDGE)
LOGGED = {"warning", "error", "critical", "exception", "warn", "_warn"}


def sources() -> Iterator[tuple[Path, ast.Module]]:
    """Each module of the bridge, parsed."""
    for path in sorted(BRIDGE.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def docstring(package: Path) -> str:
    """What stands on top of a package."""
    return ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""


def section(text: str, heading: str) -> str:
    """What stands under a heading, down to the next of its rank."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rooms_imported() -> dict[str, set[str]]:
    """By room: the rooms that its modules import, wherever they do."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, module in sources():
        room = path.relative_to(BRIDGE).parts[0].removesuffix(".py")
        for node in ast.walk(module):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bridge."):
                found[room].add((node.module or "").split(".")[1])
    return {room: others - {room} for room, others in found.items()}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_package_names_what_lives_in_it(package: Path) -> None:
    """Each name in its docstring is a module or a name of it, a room, or somebody's package."""
    text = docstring(package)
    named = re.findall(r"`([\w.]+)`", text)
    # A table of modules: their names, then what each is for.
    for line in re.findall(r"^ {4}(\w+(?:, \w+)*) +\S", text, re.MULTILINE):
        named += line.split(", ")
    module = import_module(f"bridge.{package.name}")

    unknown = {
        name
        for name in named
        if not (package / f"{name}.py").exists()
        and not hasattr(module, name)
        and not (BRIDGE / name).exists()
        and not (BRIDGE / f"{name.removeprefix('bridge.')}.py").exists()
        and (name.startswith("bridge.") or find_spec(name) is None)
    }

    assert unknown - {"kinetica-bridge"} == set()


def test_a_room_says_all_that_it_imports() -> None:
    """Behind "May import:", where that is a list."""
    lists = {}
    for package in PACKAGES:
        allowed = re.search(
            r"May\s+import:? (.*?)(?:\. |\.$|; alone)", docstring(package), re.DOTALL
        )
        if allowed is not None and "everything" not in allowed[1]:
            lists[package.name] = set(re.findall(r"\w+", allowed[1]))

    silent = {room: rooms_imported()[room] - words for room, words in lists.items()}

    assert len(lists) >= 7
    assert {room: missing for room, missing in silent.items() if missing} == {}


def test_every_thread_stands_in_the_table(documents: dict[str, str]) -> None:
    """By its name, which is what a stack trace shows; and no thread that there is not."""
    names = set()
    for _, module in sources():
        for node in ast.walk(module):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) in {"Loop", "Workers"}):
                continue
            name = node.args[0]
            if isinstance(name, ast.Constant):
                names.add(str(name.value) + ("-0" if ast.unparse(node.func) == "Workers" else ""))
            elif isinstance(name, ast.JoinedStr) and isinstance(name.values[0], ast.Constant):
                parts = (v.value if isinstance(v, ast.Constant) else "ID" for v in name.values)
                names.add("".join(map(str, parts)).replace("-ID-ID", "-ID"))
    table = section(documents["ARCHITECTURE.md"], "Threads, and who stops whom")
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    shown = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}

    assert len(names) >= 9
    assert names - shown == set()
    assert {re.sub(r"-\d+$", "", n) for n in shown} <= {re.sub(r"-\d+$", "", n) for n in names}


def test_every_warning_and_error_is_among_the_log_lines(documents: dict[str, str]) -> None:
    """Of the service; and each line that stands there is written somewhere."""
    logged, texts = set(), set()
    library = ("dispatch.py", "session.py")  # what these log is told to callbacks as well
    for path, module in sources():
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            event = node.args[0] if node.args else None
            name = event.value if isinstance(event, ast.Constant) else ""
            if node.func.attr in LOGGED and path.name not in library:
                logged |= set(re.findall(r"^[a-z]+(?:_[a-z]+)*$", str(name)))
    listed = section(documents["docs/runbook.md"], "Log lines")
    rows = [line.split("|")[1] for line in listed.splitlines() if line.startswith("| `")]
    shown = [name for row in rows for name in re.findall(r"`(\w+)`", row)]

    assert len(logged) > 40
    assert logged - set(shown) == set()
    assert set(shown) - texts == set()
    assert shown == sorted(shown)


def test_no_document_speaks_of_what_is_gone(documents: dict[str, str]) -> None:
    """Words of an earlier engine, in which rows were objects."""
    gone = re.compile(r"\b(?:bundles?|bundled|tally|renderer|rendering)\b")

    found = {name: gone.findall(text) for name, text in documents.items()}

    assert {name: words for name, words in found.items() if words} == {}


def test_every_benchmark_is_on_the_page_of_figures(documents: dict[str, str]) -> None:
    """Each can be repeated by somebody who has read the page alone."""
    programs = {f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("bench_*.py")}

    named = set(re.findall(r"`(benchmarks/bench_\w+\.py)`", documents["docs/benchmarks.md"]))

    assert named == programs
