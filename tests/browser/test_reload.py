"""A page that is reloaded, or opened in another browser, shows what its cells have said meanwhile, and follows them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from browser import chromium as browsers
from browser import pages
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from support.served import Served
from support.waiting import eventually

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


@pytest.mark.parametrize("front", pages.FRONTS)
def test_a_cell_is_followed_by_every_page_that_opens_it_and_nothing_of_it_is_lost(
    with_lab: Served, browser: Chrome, logged_in: str, front: str
) -> None:
    stop = with_lab.home / f"stop-reload-{front}"
    notebook = stop.with_suffix(".ipynb")
    pages.write_notebook(with_lab, notebook, COUNT.format(stop=str(stop)))
    address = pages.address_of(logged_in, front, notebook)
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


ASK = """
import pathlib, time
handle = display("drawn", display_id=True)
print("hello", input("who? "))
while not pathlib.Path({stop!r}).exists():
    time.sleep(0.05)
pathlib.Path({stop!r}).with_suffix(".done").touch()
print("bye", input("again? "))
print("end", input("last? "))
"""
QUEUED = ("handle.update('redrawn'); print('second')", "1 / 0", "print('never')")


def answer(browser: Chrome, prompt: str, text: str) -> None:
    """The page shows this question, and no other; the text is typed."""
    pages.until(browser, prompt, lambda: [prompt] == prompts_of_input(browser))
    pages.seen(browser, ".jp-Stdin-input").send_keys(text, Keys.ENTER)


def prompts_of_input(browser: Chrome) -> list[str]:
    return [each.text.strip() for each in browser.find_elements(By.CSS_SELECTOR, ".jp-Stdin-prompt")]


@pytest.mark.parametrize("front", pages.FRONTS)
def test_a_question_of_input_is_answered_in_any_page_and_cells_that_wait_run_on(
    with_lab: Served, browser: Chrome, logged_in: str, front: str
) -> None:
    stop = with_lab.home / f"stop-ask-{front}"
    notebook = stop.with_suffix(".ipynb")
    pages.write_notebook(with_lab, notebook, ASK.format(stop=str(stop)), *QUEUED)
    address = pages.address_of(logged_in, front, notebook)
    browser.get(address)
    pages.ready(browser)
    pages.run_all(browser)
    pages.until(browser, "the question", lambda: prompts_of_input(browser) == ["who?"])
    for _ in range(2):  # asked before the reload
        browser.refresh()
        pages.until(browser, "the queue", lambda: pages.prompts(browser)[:4] == ["[*]:"] * 4)
        pages.until(browser, "the question", lambda: prompts_of_input(browser) == ["who?"])
    answer(browser, "who?", "Ada")
    pages.until(browser, "the answer", lambda: "hello Ada" in pages.text(browser))
    browser.get("about:blank")
    stop.touch()
    eventually(stop.with_suffix(".done").exists, "the next question, which nobody sees")
    browser.get(address)
    answer(browser, "again?", "Bob")  # asked while no page was open
    answer(browser, "last?", "Eve")  # asked of the page that is gone
    pages.until(browser, "the end", lambda: "ZeroDivisionError" in pages.text(browser))
    pages.until(browser, "counts", lambda: pages.prompts(browser)[:4] == ["[1]:", "[2]:", "[3]:", "[ ]:"])
    assert "'drawn'" not in pages.text(browser)
    for each in ("'redrawn'", "hello Ada", "bye Bob", "end Eve", "second"):
        assert pages.text(browser).count(each) == 1
    assert "never" not in pages.text(browser)


@pytest.mark.parametrize(("front", "minor"), [("notebooks", 5), ("lab", 4)])
def test_a_cell_whose_text_was_changed_keeps_what_it_has_and_the_page_offers_its_output(
    with_lab: Served, browser: Chrome, logged_in: str, front: str, minor: int
) -> None:
    stop = with_lab.home / f"stop-changed-{minor}"
    notebook = stop.with_suffix(".ipynb")
    pages.write_notebook(with_lab, notebook, COUNT.format(stop=str(stop)), minor=minor)
    browser.get(pages.address_of(logged_in, front, notebook))
    pages.ready(browser)
    pages.run_cell(browser, "")
    whole(browser)
    if minor < 5:  # no lasting id: its text identifies it
        browser.refresh()
        whole(browser)
        stop.touch()
        ended(browser)
        return
    browser.find_elements(By.CSS_SELECTOR, f"{pages.CELL} .cm-content")[0].click()
    ActionChains(browser).send_keys("# changed ").perform()
    before = notebook.stat().st_mtime_ns
    pages.save(browser)
    pages.until(browser, "the file", lambda: notebook.stat().st_mtime_ns != before)
    kept = [int(each) for each in re.findall(r"<(\d+)>", json.dumps(saved(notebook)["outputs"]))]
    browser.refresh()
    show = pages.seen(browser, "button[title='Show the output']")
    assert pages.numbers(browser) == kept
    browser.execute_script("arguments[0].click()", show)  # it moves
    whole(browser)
    stop.touch()
    ended(browser)


COLLABORATION = "@jupyter/docprovider-extension"


@pytest.mark.parametrize("front", pages.FRONTS)
def test_it_steps_aside_where_jupyter_collaboration_keeps_the_documents_and_says_so(
    with_lab: Served, browser: Chrome, logged_in: str, front: str
) -> None:
    stop = with_lab.home / f"stop-shared-{front}"
    notebook = stop.with_suffix(".ipynb")
    pages.write_notebook(with_lab, notebook, COUNT.format(stop=str(stop)))
    extension = with_lab.home / ".local/share/jupyter/labextensions" / COLLABORATION
    (extension / "static").mkdir(parents=True)
    build = {"load": "static/entry.js", "extension": "./extension"}
    package = {"name": COLLABORATION, "version": "4.0.0", "jupyterlab": {"extension": True, "_build": build}}
    (extension / "package.json").write_text(json.dumps(package))
    entry = "{ init: () => undefined, get: async () => () => [] }"
    (extension / "static/entry.js").write_text(f"window._JUPYTERLAB[{COLLABORATION!r}] = {entry};")

    def said() -> bool:
        return any(
            "jupyter-collaboration keeps the documents" in each["message"] for each in browser.get_log("browser")
        )

    try:
        browser.get(pages.address_of(logged_in, front, notebook))
        pages.ready(browser)
        pages.until(browser, "what it says", said)
        pages.run_cell(browser, "")
        whole(browser)
        browser.refresh()
        pages.until(browser, "what it says", said)
        pages.seen(browser, pages.CELL)
        assert pages.numbers(browser) == []
    finally:
        shutil.rmtree(extension)
    browser.refresh()
    whole(browser)
    stop.touch()
    ended(browser)
