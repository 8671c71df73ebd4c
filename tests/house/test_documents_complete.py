"""What exists is in the documents: commands, options, variables, exit codes, reasons, packages.

Settings are compared in tests/unit/config/test_documented.py, metrics and states beside this.
"""

from __future__ import annotations

import argparse
import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import yaml

from bridge.cli.main import ENVIRONMENT, OK, RUNTIME, USAGE, make_parser
from bridge.events import EventType, GapReason
from bridge.journal import DeadLetter
from bridge.supervisor.letters import letter_fields

ROOT = Path(__file__).parents[2]
# The command with its first words, and neither the user nor a file of that name.
SPOKEN = re.compile(r"(?<![\w/.-])kinetica-bridge ([a-z]+)\b(?!\.)(?: ([a-z]+))?")


def commands(
    parser: argparse.ArgumentParser | None = None, name: str = "kinetica-bridge"
) -> Iterator[tuple[str, set[str]]]:
    """Each command that does something, with its options but `--help`."""
    parser = parser or make_parser()
    options: set[str] = set()
    inner: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            inner = action.choices
        elif not isinstance(action, argparse._HelpAction):
            options |= {max(action.option_strings, key=len, default=action.metavar or "")}
    for word, child in inner.items():
        yield from commands(child, f"{name} {word}")
    if not inner:
        yield name, options


def section(text: str, heading: str) -> str:
    """What stands under a heading, down to the next of its rank."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """What is in code in the first column of the tables in a text."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [one for cell in cells for one in re.findall(r"`([^`]+)`", cell)]


def test_every_command_stands_there_with_its_options(documents: dict[str, str]) -> None:
    """Neither more nor less than the parser knows."""
    rows = first_cells(documents["docs/command.md"].partition("## Exit codes")[0])
    shown = {}
    for row in rows:
        words = re.match(r"kinetica-bridge(?: [a-z]+)+", row)
        if words:
            rest = row[words.end() :].replace("-c FILE", "--config FILE")
            wanted = r"--[a-z-]+|(?<!\S)(?:TABLE|GAP|NUMBER|SINK|OFFSET|SHELL)\b"
            given = set(re.findall(wanted, rest))
            shown[words.group()] = given

    assert shown == dict(commands())


def test_no_document_names_a_command_that_there_is_not(documents: dict[str, str]) -> None:
    """As `kinetica-bridge WORD`, wherever it stands in code."""
    known = {name.removeprefix("kinetica-bridge ") for name, _ in commands()}
    unknown = []
    for name, text in documents.items():
        for code in re.findall(r"^ {4}.*|`[^`]+`", text, re.MULTILINE):
            for first, second in SPOKEN.findall(code):
                if first not in known and f"{first} {second}" not in known:
                    unknown.append(f"{name}: {first} {second}")

    assert unknown == []


def test_every_exit_code_is_explained(documents: dict[str, str]) -> None:
    """Those that commands return, and those of a second signal."""
    codes = first_cells(section(documents["docs/command.md"], "Exit codes"))

    assert codes == [str(code) for code in (OK, RUNTIME, USAGE, ENVIRONMENT, 130, 143)]


def test_every_variable_that_is_read_is_named(documents: dict[str, str]) -> None:
    """Our own, and those of others that we look at ourselves."""
    read = set()
    for path in (ROOT / "bridge").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                read |= set(re.findall(r"^KINETICA_BRIDGE_[A-Z]+$", node.value))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.environ.get":
                read |= {a.value for a in node.args if isinstance(a, ast.Constant) and a.value}

    named = first_cells(section(documents["docs/command.md"], "Environment"))

    assert "KINETICA_BRIDGE_CONFIG" in read
    assert read - set(named) == set()


def test_every_variable_of_the_image_is_named(documents: dict[str, str]) -> None:
    """Each that the image's configuration takes stands among those of compose."""
    taken = re.findall(r"\$\{([A-Z_]+)", (ROOT / "deploy" / "bridge.yaml").read_text())

    assert taken
    assert set(taken) <= set(first_cells(section(documents["docs/deployment.md"], "With compose")))


def test_every_gap_reason_is_explained(documents: dict[str, str]) -> None:
    """In the order in which the code has them."""
    promise = documents["docs/guarantees.md"].partition("\n## 2. ")[2].partition("\n## ")[0]

    reasons = [line.split("`")[1] for line in promise.splitlines() if line.startswith("| `")]

    assert reasons == list(get_args(GapReason))


def test_the_readme_names_every_kind_of_event(documents: dict[str, str]) -> None:
    """A reader knows all that can arrive from the first page."""
    paragraph = re.search(r"^`type` is .*?\n\n", documents["README.md"], re.MULTILINE | re.DOTALL)

    assert paragraph is not None
    assert set(re.findall(r"`([a-z]+)`", paragraph.group())) - {"type", "count"} == set(
        get_args(EventType)
    )


def test_every_alert_is_in_the_runbook_and_in_the_list(documents: dict[str, str]) -> None:
    """Whoever is woken finds the alert's name in a heading."""
    rules = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    headings = re.findall(r"^## (.*)$", documents["docs/runbook.md"], re.MULTILINE)
    listed = first_cells(section(documents["docs/deployment.md"], "Monitoring"))

    assert {name for heading in headings for name in re.findall(r"`(\w+)`", heading)} == alerts
    assert set(listed) == alerts


def test_the_runbook_names_what_a_dead_letter_shows(documents: dict[str, str]) -> None:
    """In the order of the lines that `deadletters ls --json` prints."""
    text = section(documents["docs/runbook.md"], "`KineticaBridgeDeadLetters`")
    paragraph = text.partition("oldest first: ")[2].partition(". ")[0]
    letter = DeadLetter("sink", "s.t", 1, "id", 2, "why", raw=b"bytes", number=3, set_aside=4)

    named = re.findall(r"`(\w+)`", paragraph)

    assert named == [key for key in letter_fields(letter) if key != "raw"] + ["value", "raw"]


def test_every_dependency_has_its_reason(documents: dict[str, str]) -> None:
    """The three tables are the lists of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = documents["docs/dependencies.md"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[<>=\[;]", one)[0] for one in requirements}

    assert set(first_cells(section(page, "At run time"))) == names(project["dependencies"])
    extras = {name: of for name, of in project["optional-dependencies"].items() if name != "dev"}
    assert set(first_cells(section(page, "With an extra"))) == {
        package for requirements in extras.values() for package in names(requirements)
    }
    assert set(first_cells(section(page, "For development"))) == names(
        project["optional-dependencies"]["dev"]
    )


def test_every_document_is_reached_from_the_readme(documents: dict[str, str]) -> None:
    """By a link of its own, or by one from a page that the readme links."""
    linked = {"README.md"}
    waiting = ["README.md"]
    while waiting:
        name = waiting.pop()
        for target in re.findall(r"\]\(([^)#\s]+\.md)", documents[name]):
            path = str(((ROOT / name).parent / target).resolve().relative_to(ROOT))
            if path in documents and path not in linked:
                linked.add(path)
                waiting.append(path)

    assert set(documents) - linked == set()


def test_the_glossary_is_in_order(documents: dict[str, str]) -> None:
    """A word is found where the alphabet puts it."""
    words = re.findall(r"^\| \*\*(.+?)\*\*", documents["docs/glossary.md"], re.MULTILINE)

    assert len(words) > 30
    assert words == sorted(words)
