"""The status page in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from services.browser import Browser
from services.rig import TABLE, Rig

from bridge.admin.server import AdminServer


@pytest.fixture
def page(watched: tuple[Rig, AdminServer]) -> str:
    """Where the page of a service is, one table of which is not there."""
    _, admin = watched
    admin.start()
    return admin.url


@pytest.mark.parametrize("width", [1280, 400], ids=["desk", "phone"])
def test_the_page_shows_what_is_wrong_and_what_is_well(
    page: str, browser: Browser, width: int
) -> None:
    """And runs under its own policy without a complaint."""
    opened = browser.open(f"{page}/", width=width)

    assert opened.complaints == []
    assert opened.text("verdict") == "1 thing needs a hand"
    assert "Create the table" in opened.text("problems")
    rows = re.split(r"<tr>", opened.document.partition('id="tables"')[2].partition("</tbody>")[0])
    (table,) = [row for row in rows if TABLE in row]
    assert ">live</span>" in table
    assert '<td class="number">3</td>' in table
    assert re.search(r"delivering</span>", opened.document)


def test_a_bridge_that_does_not_answer_is_shown_as_such(browser: Browser, tmp_path: Path) -> None:
    """The page stays, and says so."""
    source = Path(__file__).parents[2] / "bridge" / "admin" / "page.html"
    opened = browser.open(source.as_uri())

    assert opened.text("verdict").startswith("no answer")
