"""Where a setting stands and what is wrong with it: the lines an operator gets to read.

A *key path* is the way from the top of the file to a setting, `("tables", 0, "name")`. A
problem that was reported settles its path: what follows from it, at the path or below, is
not said again.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.errors import ConfigurationError

KeyPath = tuple[str | int, ...]


def dotted(path: KeyPath) -> str:
    """Write a key path as operators do.

    >>> dotted(("tables", 0, "sinks", 1))
    'tables[0].sinks[1]'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


class Problems:
    """What is wrong with one file, each problem with its line.

    Args:
        file: the file's name, as messages show it.
        lines: the line, from 1, of every key path that the file holds; may grow later.
    """

    def __init__(self, file: str, lines: Mapping[KeyPath, int]) -> None:
        self.file = file
        self._lines = lines
        self._found: list[tuple[int, str]] = []
        self._settled: set[KeyPath] = set()

    def add(
        self, path: KeyPath, reason: str, *, line: int | None = None, settles: bool = True
    ) -> None:
        """Report a setting, unless it or one that holds it has been reported.

        Args:
            path: the setting; its line, or that of the nearest setting around it, is shown.
            reason: what is wrong and how to mend it, in plain words, without a secret.
            line: the line, where it is not the path's own.
            settles: whether later problems at this path would only follow from this one.
        """
        if self.settled(path):
            return
        if settles:
            self._settled.add(path)
        where = self.line(path) if line is None else line
        key = dotted(path) or "the file"
        self._found.append((where, f"{self.file}:{where}: {key}: {' '.join(reason.split())}"))

    def settle(self, path: KeyPath) -> None:
        """Let later problems at this path pass unsaid: another one stands for them."""
        self._settled.add(path)

    def settled(self, path: KeyPath) -> bool:
        """Say whether this setting, or one that holds it, has been reported."""
        return any(path[:length] in self._settled for length in range(len(path) + 1))

    def element_settled(self, path: KeyPath) -> bool:
        """Say whether an element of this list has been reported."""
        return any(
            len(each) == len(path) + 1 and each[:-1] == path and isinstance(each[-1], int)
            for each in self._settled
        )

    def line(self, path: KeyPath) -> int:
        """Return the line of a setting, or of the nearest one around it; from 1."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1

    def rendered(self) -> list[str]:
        """Return one `FILE:LINE: KEY: reason` for each problem, in the order of the file."""
        return [text for _, text in sorted(self._found, key=lambda found: found[0])]

    def raise_if_any(self) -> None:
        """Raise everything that was reported.

        Raises:
            ConfigurationError: something was.
        """
        if self._found:
            raise ConfigurationError(self.rendered())
