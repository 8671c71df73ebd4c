"""The command line itself: help, completion, and readers that leave."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from services.process import COMMAND, run_command

from bridge.cli.completion import _places, script
from bridge.cli.examples import example
from bridge.cli.main import make_parser

QUIET = [
    ["schema"],
    ["--help"],
    ["gaps", "--help"],
    ["check", "--offline", "-c", "FILE"],
    ["check", "--json", "-c", "FILE"],
    ["completion", "bash"],
    ["journal", "ls", "-c", "FILE"],
    ["deadletters", "ls", "--json", "-c", "FILE"],
]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration, and a journal beside it that a service has left."""
    from bridge.config import load
    from bridge.supervisor.keeping import make_journal

    folder = tmp_path_factory.mktemp("line")
    path = folder / "bridge.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "kinetica": {"urls": ["http://127.0.0.1:1"]},
                "journal": {"path": str(folder / "journal")},
                "tables": [{"name": "ki_home.orders"}],
                "sinks": {"out": {"type": "stdout"}},
                "admin": {"listen": "127.0.0.1:1"},
            }
        )
    )
    with make_journal(load(path)):
        pass
    return path


@pytest.mark.parametrize("words", QUIET, ids=" ".join)
def test_a_command_whose_reader_has_left_ends_quietly(words: list[str], config: Path) -> None:
    """Nothing on stderr, neither of ours nor of the interpreter, and no exit code of 120."""
    reading, writing = os.pipe()
    os.close(reading)
    arguments = [str(config) if word == "FILE" else word for word in words]
    with os.fdopen(writing, "wb") as pipe:
        result = subprocess.run(
            [*COMMAND, *arguments], stdout=pipe, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert (result.returncode, result.stderr) == (0, b"")


def test_every_command_has_an_example_that_parses() -> None:
    """Under its help, and it is a command line as it stands."""
    parser = make_parser()
    for place, _ in _places(parser, ""):
        if place:
            shown = example("kinetica-bridge" + place.replace("/", " "))
            assert shown is not None, place
            command = shown.partition("kinetica-bridge ")[2].partition(")")[0].partition(" &&")[0]
            parser.parse_args(shlex.split(command.partition(" >")[0]))
            assert command.startswith(place.split("/")[1])
    assert "example:\n  kinetica-bridge gaps close" in run_command("gaps", "close", "--help").stdout


def complete(line: str) -> list[str]:
    """Ask bash what may follow a line, as its Tab key does."""
    words = line.split(" ")
    given = " ".join(f"'{word}'" for word in words)
    program = f"""
        source <({sys.executable} -m bridge completion bash)
        COMP_WORDS=({given}); COMP_CWORD={len(words) - 1}
        _kinetica_bridge 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    said = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    return said.stdout.split()


def complete_in_fish(line: str) -> list[str]:
    """Ask fish the same."""
    program = f"{sys.executable} -m bridge completion fish | source; complete -C '{line}'"
    said = subprocess.run(["fish", "-c", program], capture_output=True, text=True, check=True)
    return [found.split("\t")[0] for found in said.stdout.splitlines()]


def test_fish_completes_at_each_place() -> None:
    """With what the parser knows there."""
    if shutil.which("fish") is None:
        pytest.skip("there is no fish here")
    assert complete_in_fish("kinetica-bridge ga") == ["gaps"]
    assert complete_in_fish("kinetica-bridge gaps cl") == ["close"]
    assert complete_in_fish("kinetica-bridge check --o") == ["--offline"]


def test_bash_completes_commands_options_and_files(tmp_path: Path) -> None:
    """At each place what the parser knows there; a value is left to the person."""
    assert complete("kinetica-bridge ga") == ["gaps"]
    assert complete("kinetica-bridge gaps cl") == ["close"]
    assert complete("kinetica-bridge check --o") == ["--offline"]
    assert complete("kinetica-bridge -x sinks pause --ta") == ["--table"]
    assert complete("kinetica-bridge completion f") == ["fish"]
    assert complete("kinetica-bridge sinks pause --table ") == []
    (tmp_path / "bridge.yaml").touch()
    assert complete(f"kinetica-bridge run -c {tmp_path}/br") == [f"{tmp_path}/bridge.yaml"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_takes_its_script(shell: str) -> None:
    """It reads it to the end; every command stands in it."""
    text = script(shell)
    assert "deadletters" in text
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    subprocess.run([shell, "-n"], input=text, text=True, check=True)


def test_the_module_is_the_command() -> None:
    """`python -m bridge` calls itself by the command's name."""
    assert run_command("run", "--help").stdout.startswith("usage: kinetica-bridge run")
