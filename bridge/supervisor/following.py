"""The thread that notices when the configuration's file, or one that it names, has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from bridge.config import content_of, files_digest, named_files
from bridge.loop import Loop

# A file is taken when two looks have found the same: who writes in place has finished by then.
_LOOK_SECONDS = 1.0


class Following:
    """Looks at the content of the files, so that it does not matter how they were replaced.

    A Kubernetes volume changes behind a symbolic link, with the path's own file as it was.
    Owns its thread; ended by `stop` of its loop, within a look.

    Args:
        path: of the configuration.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._named: tuple[bytes, list[str]] = b"", []
        self._taken = self._last = ""
        self._changed: Callable[[], None] = lambda: None
        self.loop = Loop("files", self._look)

    def start(self, changed: Callable[[], None]) -> None:
        """Call this, in the thread, whenever there is something that `note` has not seen."""
        self._changed = changed
        self.loop.start()

    def note(self) -> None:
        """Say that the files are read now, whatever comes of it. Any thread may call."""
        self._taken = self._digest()

    def _look(self) -> bool:
        found = self._digest()
        if found != self._taken and found == self._last:
            self._changed()
        self._last = found
        return not self.loop.wait(_LOOK_SECONDS)

    def _digest(self) -> str:
        content = content_of(self._path)
        before, named = self._named
        if content != before:
            named = named_files(content)
            self._named = content, named
        return hashlib.sha256(content).hexdigest() + files_digest(named)
