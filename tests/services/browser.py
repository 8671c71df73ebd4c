"""A real browser that opens one page and tells what it came to: Chromium, without a window."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from .server import ServiceMissing

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True)
class Opened:
    """A page after its scripts have run.

    Attributes:
        document: as HTML.
        complaints: what stood in the console: errors, and what the page's policy refused.
    """

    document: str
    complaints: list[str]

    def text(self, element: str) -> str:
        """Return the text of the element of an id."""
        found = re.search(rf'<(\w+)[^>]*\bid="{element}"[^>]*>(.*?)</\1>', self.document, re.DOTALL)
        assert found is not None, f"no element {element}"
        return unescape(re.sub(r"<[^>]+>", " ", found[2]))


class Browser:
    """Opens pages, each in a profile of its own.

    Args:
        folder: for the profiles.

    Raises:
        ServiceMissing: there is none.
    """

    def __init__(self, folder: Path) -> None:
        found = next(filter(None, map(shutil.which, _NAMES)), None)
        if found is None:
            raise ServiceMissing("no chromium: apt install chromium")
        self._program = found
        self._folder = folder

    def open(self, url: str, *, width: int = 1280, seconds: float = 4.0) -> Opened:
        """Open a page, and let its own clock run so many seconds."""
        done = subprocess.run(
            [
                self._program,
                "--headless",
                "--no-sandbox",  # which root cannot have
                "--disable-gpu",
                "--enable-logging=stderr",
                f"--user-data-dir={self._folder}",
                f"--window-size={width},1000",
                f"--virtual-time-budget={seconds * 1000:.0f}",
                "--dump-dom",
                url,
            ],
            capture_output=True,
            check=True,
            timeout=120,
        )
        complaints = re.findall(r"CONSOLE[^\]]*\] \"(.*?)\", source", done.stderr.decode())
        return Opened(done.stdout.decode(), complaints)
