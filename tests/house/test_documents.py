"""What the documents name exists: files, headings, tests, commands, settings, log lines."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from services.process import wait_until
from services.rig import Database

from bridge.config import parse
from bridge.config.models import Config
from kinetica_emulator import Emulator

ROOT = Path(__file__).parents[2]

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}.*\n|^\n(?= {4}))+", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
TEST = re.compile(r"`(test_\w+)`")
# A path: it has a folder and names no placeholder, or ends as a file of ours does.
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|c|h|sql|md|toml))`")
NOT_IN_THE_TREE = re.compile(
    r"NAME|^(?:out|segments)/|^application/|^kinetica/|^[a-z]+/s$|^\./bridge"
)
MAKE = re.compile(r"^(?: {4}|.*`)make ((?:[a-z]+ )*[a-z]+)\b", re.MULTILINE)
SECTIONS = re.compile(r"rotocol,? sections? ((?:\d[\d.]*(?: and | to |, )?)+)")
ENVIRONMENT = {
    "HOOK_SECRET": "a secret of more than a few letters",
    "KINETICA_URLS": "http://a:9191,http://b:9191",
    "MASK_KEY": "a key of hashes",
}


def prose(text: str) -> str:
    """The text without its blocks of code."""
    return FENCED.sub("", text)


def anchors(text: str) -> set[str]:
    """The headings as links name them."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def blocks(documents: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each block of YAML that holds sections of a configuration, fenced or indented."""
    for name, text in documents.items():
        codes = [body for _, body in FENCED.findall(text)]
        codes += [re.sub("^ {4}", "", c, flags=re.MULTILINE) for c in INDENTED.findall(prose(text))]
        for code in codes:
            try:
                data = yaml.safe_load(code)
            except yaml.YAMLError:
                continue
            if isinstance(data, dict) and data.keys() and data.keys() <= Config.model_fields.keys():
                yield f"{name}: {code}", data


def test_every_relative_link_resolves(documents: dict[str, str]) -> None:
    """File and heading are there."""
    broken = []
    for name, text in documents.items():
        for target in LINK.findall(prose(text)):
            if target.startswith(("http://", "https://")):
                continue
            path, _, anchor = target.partition("#")
            file = (ROOT / name).parent / path if path else ROOT / name
            if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
                broken.append(f"{name}: {target}")

    assert broken == []


def test_every_file_named_exists(documents: dict[str, str]) -> None:
    """From the root, from `bridge/`, from the folder of the document, or by its name alone."""
    names = {
        path.name
        for folder in ("bridge", "tests", "benchmarks", "csrc", "docs", "examples")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    missing = []
    for name, text in documents.items():
        for target in PATH.findall(text):
            if NOT_IN_THE_TREE.search(target):
                continue
            places = (ROOT, ROOT / "bridge", (ROOT / name).parent, ROOT / "benchmarks")
            known = target in names or any((place / target).exists() for place in places)
            if not known:
                missing.append(f"{name}: {target}")

    assert missing == []


def test_every_test_named_exists(documents: dict[str, str]) -> None:
    """A promise cites the test that holds it; a renamed test must not leave it bare."""
    sources = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    there = {name for source in sources for name in re.findall(r"def (test_\w+)\(", source)}

    cited = {name for text in documents.values() for name in TEST.findall(text)}

    assert cited
    assert cited - there == set()


def test_every_promise_and_invariant_cites_a_test(documents: dict[str, str]) -> None:
    """None stands there by itself."""
    promises = re.split(r"^## ", documents["docs/guarantees.md"], flags=re.MULTILINE)[1:]
    invariants = re.findall(r"^\| \d+ \|.*$", documents["ARCHITECTURE.md"], re.MULTILINE)

    assert len(promises) >= 8
    assert len(invariants) >= 20
    assert [p.partition("\n")[0] for p in promises if not TEST.search(p)] == []
    assert [i for i in invariants if not TEST.search(i) and "tests/house/" not in i] == []


def test_every_configuration_shown_loads(documents: dict[str, str]) -> None:
    """A whole one as it is; a part with the least that makes it whole.

    That of a sink of one's own needs its package: tests/e2e/test_sink_page.py runs it.
    """
    own = {"docs/writing-a-sink.md"}
    shown = list(blocks({name: text for name, text in documents.items() if name not in own}))

    assert len(shown) >= 6
    for where, data in shown:
        whole = {"kinetica": {"urls": ["http://a"]}, "tables": [{"name": "s.t"}], **data}
        if "sinks" not in data:
            named = {sink for table in whole["tables"] for sink in table.get("sinks", ())}
            whole["sinks"] = {sink: {"type": "stdout"} for sink in named}
        assert parse(yaml.safe_dump(whole), where, ENVIRONMENT).tables


def test_every_target_of_make_exists(documents: dict[str, str]) -> None:
    """`make` alone lists them too."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))

    named = {t for text in documents.values() for m in MAKE.findall(text) for t in m.split()}

    assert {"demo", "test", "lint"} <= named
    assert named - targets == set()
    assert {target for target in targets if f"make {target}" not in makefile} - {"help"} == set()


def test_the_log_lines_of_the_runbook_are_written_somewhere(documents: dict[str, str]) -> None:
    """Whoever searches the log for one finds it."""
    source = "".join(path.read_text() for path in (ROOT / "bridge").rglob("*.py"))
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", documents["docs/runbook.md"]))

    assert len(named) > 10
    ours = {name for name in named if not name.startswith(("kinetica_bridge_", "set_monitor_"))}
    assert {name for name in ours if name not in source} == set()


def test_the_protocols_sections_cited_in_the_code_are_there(documents: dict[str, str]) -> None:
    """`protocol, section 4.2` leads somewhere."""
    headings = set(re.findall(r"^#+ (\d[\d.]*)", documents["docs/protocol.md"], re.MULTILINE))
    there = {heading.rstrip(".") for heading in headings}
    cited = set()
    for folder in ("bridge", "tests", "csrc", "benchmarks", "examples"):
        for path in (ROOT / folder).rglob("*.*"):
            if path.suffix in {".py", ".c", ".h"}:
                text = re.sub(r"\s*\n[\s#*]*", " ", path.read_text())
                for found in re.findall(
                    r"rotocol,? sections? ((?:\d[\d.]*(?: and | to |, )?)+)", text
                ):
                    cited |= {one.rstrip(".") for one in re.findall(r"\d[\d.]*", found)}

    assert len(cited) > 10
    assert cited - there == set()


def test_the_rooms_stand_in_the_order_of_the_linter(documents: dict[str, str]) -> None:
    """The table is the contract that `make lint` checks."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [c["layers"] for c in contracts["contracts"] if c.get("containers") == ["bridge"]]
    section = documents["ARCHITECTURE.md"].partition("## The rooms")[2].partition("\n## ")[0]

    rows = [
        re.findall(r"`bridge/([\w/]+)", line.split("|")[1])
        for line in section.splitlines()
        if line.startswith("| `bridge/")
    ]

    assert rows == [re.findall(r"\w+", layer) for layer in layers]


def test_the_readmes_program_runs(documents: dict[str, str]) -> None:
    """Pasted as it is, but for the address: it prints what is inserted, and ends with the table."""
    (program,) = [code for kind, code in FENCED.findall(documents["README.md"]) if kind == "python"]

    with Emulator() as emulator:
        database = Database(emulator)
        database.create()
        with subprocess.Popen(
            [sys.executable, "-c", program.replace("http://kinetica:9191", emulator.url)],
            stdout=subprocess.PIPE,
            text=True,
        ) as running:
            try:
                wait_until(lambda: database.monitors() or running.poll(), "the program listens")
                database.insert_ids([7])
                database.drop()
                printed, _ = running.communicate(timeout=30)
            finally:
                running.kill()
        database.close()

    assert printed == "{'id': 7, 'name': 'n7'}\n"
    assert running.returncode == 0


def test_the_documents_are_of_this_project_alone(documents: dict[str, str]) -> None:
    """No path of anybody's machine, and no line that is too long to read in an editor."""
    for name, text in documents.items():
        assert not re.search(r"/(?:work|home|root|Users)/", text), name
        lines = [line for line in prose(text).splitlines() if not line.startswith(("|", "    "))]
        assert [line for line in lines if len(line) > 120] == [], name
