"""The status page in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from services.browser import Browser
from services.rig import TABLE, Database, Rig

from bridge.admin.server import AdminServer
from kinetica_emulator import Emulator


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """Where the page of a service is, one table of which is not there."""
    with Emulator(port=0, monitor_port=0) as cluster:
        database = Database(cluster)
        database.create()
        with Rig(tmp_path, [cluster.url]) as rig:
            rig.tables.append({"name": "ki_home.absent"})
            rig.reload()
            rig.wait_live()
            rig.wait_state("waiting_for_table", table="ki_home.absent")
            database.insert_ids(range(3))
            rig.wait_ids(range(3))
            assert rig.supervisor is not None
            admin = AdminServer(rig.supervisor, "127.0.0.1", 0)
            admin.start()
            try:
                yield admin.url
            finally:
                admin.stop()
        database.close()


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
