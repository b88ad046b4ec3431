"""A page that is reloaded, or opened in another browser, shows what its cells have said meanwhile, and follows them."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from browser import chromium as browsers
from browser import pages
from selenium.webdriver import Chrome
from support.served import Served
from support.waiting import eventually

FRONTS = ("notebooks", "lab/tree")
PASSWORD = "correct horse battery"
COUNT = """
import pathlib, time
n = 0
while not pathlib.Path({stop!r}).exists():
    print(f"<{{n}}>", flush=True)
    n += 1
    time.sleep(0.05)
print("lines:", n)
pathlib.Path({stop!r}).with_suffix(".done").touch()
raise KeyError("its end")
"""


def whole(browser: Chrome) -> None:
    """Every number is there in order, once, and more of them come."""
    seen = len(pages.numbers(browser))
    pages.until(browser, "more lines", lambda: len(pages.numbers(browser)) > max(seen, 1) + 5)
    shown = pages.numbers(browser)
    assert shown == list(range(len(shown))), "missing, twice, or out of order"
    assert pages.prompts(browser)[0] == "[*]:"
    assert pages.kernel_status(browser) == "busy"


def ended(browser: Chrome) -> None:
    """The whole output of the cell, its error and its count."""
    pages.until(browser, "the end of the cell", lambda: "KeyError: 'its end'" in pages.text(browser))
    pages.until(browser, "its count", lambda: pages.prompts(browser)[0] == "[1]:")
    count = re.search(r"lines: (\d+)", pages.text(browser))
    assert count is not None
    assert pages.numbers(browser) == list(range(int(count[1])))
    assert pages.text(browser).count("KeyError: 'its end'") == 1


def saved(notebook: Path) -> dict[str, Any]:
    """The first cell in the file, which Jupyter may be writing."""

    def cells() -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = json.loads(notebook.read_text())["cells"]
        except ValueError:
            return []
        return found

    return eventually(cells, "a whole file")[0]


@pytest.mark.parametrize("front", FRONTS)
def test_a_cell_is_followed_by_every_page_that_opens_it_and_nothing_of_it_is_lost(
    with_lab: Served, browser: Chrome, logged_in: str, front: str
) -> None:
    stop = with_lab.home / f"stop-reload-{front.partition('/')[0]}"
    notebook = stop.with_suffix(".ipynb")
    pages.write_notebook(with_lab, notebook, COUNT.format(stop=str(stop)))
    address = f"{logged_in}{front}/{notebook.name}"
    browser.get(address)
    pages.ready(browser)
    pages.run_cell(browser, "")
    whole(browser)
    browser.refresh()
    whole(browser)
    browser.get("about:blank")  # the page is closed
    os.kill(with_lab.status()["server"]["pid"], signal.SIGKILL)
    with browsers.chromium() as other:
        pages.log_in(other, logged_in, password=PASSWORD)
        other.get(address)
        whole(other)
        other.refresh()
        whole(other)
    stop.touch()
    eventually(stop.with_suffix(".done").exists, "the end of the cell, which nobody sees")
    browser.get(address)
    ended(browser)
    assert saved(notebook)["execution_count"] is None, "nothing has saved it"
    browser.refresh()  # without a save
    before = notebook.stat().st_mtime_ns

    def first_save() -> bool:
        pages.save(browser)  # as soon as the page takes it
        return notebook.stat().st_mtime_ns != before

    pages.until(browser, "the file", first_save)
    assert saved(notebook)["execution_count"] == 1
    assert saved(notebook)["outputs"][-1]["ename"] == "KeyError"
    ended(browser)
    browser.refresh()
    ended(browser)
