"""`completion`: a script that lets a shell complete the command, made from its parser.

Commands, options and files after `-c`; no shell starts the command to complete it.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from bridge.cli.main import OK, make_parser


class Word(NamedTuple):
    """What may stand at a place: a command or an option.

    Attributes:
        text: as it is typed.
        help: what it is.
        value: whether a value follows; `file` if that is a path.
        option: whether it is an option.
    """

    text: str
    help: str
    value: str = ""
    option: bool = False


Places = dict[str, list[Word]]


def run(arguments: argparse.Namespace) -> int:
    """Print the script for a shell."""
    print(script(arguments.shell), end="")
    return OK


def script(shell: str) -> str:
    """Return the script for bash, zsh or fish."""
    places = dict(_places(make_parser(), ""))
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](places)


def _places(parser: argparse.ArgumentParser, place: str) -> Iterator[tuple[str, list[Word]]]:
    """Yield each command, as a path, with the words that may follow it."""
    words: list[Word] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                words.append(Word(name, helps.get(name, "")))
                yield from _places(inner, f"{place}/{name}")
        elif action.option_strings:
            value = "" if action.nargs == 0 else "file" if action.metavar == "FILE" else "value"
            words += [Word(text, action.help or "", value, True) for text in action.option_strings]
        elif action.choices:
            words += [Word(str(choice), action.help or "") for choice in action.choices]
    yield place, words


def _values(places: Places, kind: str) -> list[str]:
    return sorted({w.text for words in places.values() for w in words if w.value == kind})


def _bash(places: Places) -> str:
    cases = "\n".join(
        f'    "{place}") words="{" ".join(word.text for word in words)}" ;;'
        for place, words in places.items()
    )
    return f"""\
# bash: source <(kinetica-bridge completion bash)
_kinetica_bridge() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}"
  local place="" word words=""
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$place/$word" in
      {"|".join(place for place in places if place)}) place="$place/$word" ;;
    esac
  done
  COMPREPLY=()
  case "$prev" in
    {"|".join(_values(places, "file"))})
      compopt -o filenames
      COMPREPLY=($(compgen -f -- "$cur"))
      return ;;
    {"|".join(_values(places, "value"))}) return ;;
  esac
  case "$place" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -F _kinetica_bridge kinetica-bridge
"""


def _zsh(places: Places) -> str:
    cases = "\n".join(
        f"    '{place}') found=({' '.join(shlex.quote(_described(word)) for word in words)}) ;;"
        for place, words in places.items()
    )
    return f"""\
#compdef kinetica-bridge
# zsh: kinetica-bridge completion zsh > "${{fpath[1]}}/_kinetica-bridge"
_kinetica_bridge() {{
  local place="" word
  local -a found
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case "$place/$word" in
      {"|".join(place for place in places if place)}) place="$place/$word" ;;
    esac
  done
  case "$words[CURRENT-1]" in
    {"|".join(_values(places, "file"))}) _files; return ;;
    {"|".join(_values(places, "value"))}) return ;;
  esac
  case "$place" in
{cases}
  esac
  _describe 'kinetica-bridge' found
}}
if [ "$funcstack[1]" = "_kinetica_bridge" ]; then
  _kinetica_bridge "$@"
else
  compdef _kinetica_bridge kinetica-bridge
fi
"""


def _described(word: Word) -> str:
    return f"{word.text}:{word.help}" if word.help else word.text


def _fish(places: Places) -> str:
    lines = "\n".join(
        f"complete -c kinetica-bridge -n '__kinetica_bridge_at \"{place}\"' {_for_fish(word)}"
        for place, words in places.items()
        for word in words
    )
    return f"""\
# fish: kinetica-bridge completion fish > ~/.config/fish/completions/kinetica-bridge.fish
function __kinetica_bridge_at
  set -l place ""
  for word in (commandline -opc)[2..-1]
    if contains -- "$place/$word" {" ".join(place for place in places if place)}
      set place "$place/$word"
    end
  end
  test "$place" = "$argv[1]"
end
complete -c kinetica-bridge -f
{lines}
"""


def _for_fish(word: Word) -> str:
    described = f" -d {_fish_quoted(word.help)}" if word.help else ""
    if not word.option:
        return f"-a {word.text}{described}"
    name = word.text.lstrip("-")
    flag = f"-l {name}" if word.text.startswith("--") else f"-s {name}"
    value = {"file": " -r -F", "value": " -x"}.get(word.value, "")
    return f"{flag}{value}{described}"


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
