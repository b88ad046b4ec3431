"""What a person does with the login page and a notebook, as functions over a browser. Every wait has a deadline."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from selenium.common.exceptions import ElementNotInteractableException, StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from support.served import Served

T = TypeVar("T")
WAIT_S = 60.0
CELL = ".jp-Notebook .jp-CodeCell"
OUTPUT = ".jp-Notebook .jp-OutputArea-output"

_CONNECTED = """
const done = arguments[arguments.length - 1];
const base = JSON.parse(document.getElementById("jupyter-config-data").textContent).baseUrl;
fetch(base + "api/sessions").then((answer) => answer.json()).then((sessions) => done(sessions.some(
  (each) => location.pathname.endsWith("/" + each.path) && each.kernel !== null && each.kernel.connections > 0
))).catch(() => done(false));
"""
_TEXT = f"""return Array.from(document.querySelectorAll("{OUTPUT}"), each => each.textContent).join("\\n");"""


FRONTS = ("notebooks", "lab")
"""Notebook 7 and JupyterLab, as the first part of an address."""


def until(browser: Chrome, what: str, question: Callable[[], T], wait_s: float = WAIT_S) -> T:
    """The first true answer; the page may change under the question."""
    wait = WebDriverWait(browser, wait_s, poll_frequency=0.1, ignored_exceptions=(StaleElementReferenceException,))
    return wait.until(lambda _: question(), f"waited {wait_s:.0f} s for {what} at {browser.current_url}")


def seen(browser: Chrome, selector: str, wait_s: float = WAIT_S) -> WebElement:
    """The first visible element."""

    def question() -> WebElement | None:
        found = browser.find_elements(By.CSS_SELECTOR, selector)
        return next((each for each in found if each.is_displayed()), None)

    found = until(browser, selector, question, wait_s)
    assert found is not None
    return found


def log_in(browser: Chrome, url: str, *, password: str | None = None, new_password: str | None = None) -> None:
    """By the link with its token, or by a password; ends on the file browser."""
    browser.get(url)
    field = seen(browser, "#password_input")
    if password is not None:
        field.send_keys(password)
    if new_password is not None:
        seen(browser, "#new_password_input").send_keys(new_password)
        seen(browser, "#new_password_again_input").send_keys(new_password)
    seen(browser, "#login_submit").click()
    until(browser, "the page after the login", lambda: re.search(r"/(tree|lab)", browser.current_url))


def new_notebook(browser: Chrome) -> None:
    """New, Python 3: the notebook opens in a tab of its own, to which the browser then turns."""
    before = set(browser.window_handles)
    button = seen(browser, ".jp-FileBrowser-toolbar .jp-DropdownMenu, .jp-DropdownMenu, .jp-FileBrowser-toolbar button")

    def entry() -> WebElement | None:
        found = browser.find_elements(By.CSS_SELECTOR, ".lm-Menu-itemLabel")
        return next((each for each in found if each.text.startswith("Python 3")), None)

    def opened() -> WebElement | None:
        if entry() is None:
            button.click()
        return entry()

    found = until(browser, "Python 3 in the menu New", opened)
    assert found is not None
    found.click()
    until(browser, "the new tab", lambda: set(browser.window_handles) - before)
    browser.switch_to.window((set(browser.window_handles) - before).pop())
    ready(browser)


def address_of(base: str, front: str, notebook: Path) -> str:
    """Of a notebook in one of FRONTS; in JupyterLab in a workspace of its own, where no other notebook is open."""
    place = front if front == "notebooks" else f"{front}/workspaces/{notebook.stem}/tree"
    return f"{base}{place}/{notebook.name}"


def ready(browser: Chrome) -> None:
    """The notebook is drawn, its page has a connection to its kernel, and that is idle."""
    seen(browser, CELL)
    # The page's indicator says "idle" also before there is a kernel.
    until(browser, "a connection to the kernel", lambda: browser.execute_async_script(_CONNECTED))
    until(browser, "an idle kernel", lambda: kernel_status(browser) == "idle")


def kernel_status(browser: Chrome) -> str:
    """As the notebook's own indicator shows it: "idle", "busy", "connecting" ..."""
    found = browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook-ExecutionIndicator")
    return (found[0].get_attribute("data-status") or "") if found else ""


def run_cell(browser: Chrome, code: str) -> None:
    """Types into the last cell and presses Shift+Enter."""

    def clicked() -> bool:
        try:
            browser.find_elements(By.CSS_SELECTOR, f"{CELL} .cm-content")[-1].click()
        except ElementNotInteractableException:  # it is being drawn
            return False
        return True

    until(browser, "a cell to type into", clicked)
    ActionChains(browser).send_keys(code).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()


def run_all(browser: Chrome) -> None:
    """Run, Run All Cells."""

    def labelled(selector: str, text: str) -> WebElement | None:
        found = browser.find_elements(By.CSS_SELECTOR, selector)
        return next((each for each in found if each.is_displayed() and each.text == text), None)

    for selector, text in ((".lm-MenuBar-itemLabel", "Run"), (".lm-Menu-itemLabel", "Run All Cells")):
        entry = until(browser, text, lambda selector=selector, text=text: labelled(selector, text))
        assert entry is not None
        entry.click()


def outputs(browser: Chrome) -> str:
    """All that the cells have put out."""
    return "\n".join(each.text for each in browser.find_elements(By.CSS_SELECTOR, OUTPUT))


def text(browser: Chrome) -> str:
    """The same, also of what is not drawn because it is out of sight."""
    found: str = browser.execute_script(_TEXT)
    return found


def numbers(browser: Chrome) -> list[int]:
    """Each <number> in it."""
    return [int(each) for each in re.findall(r"<(\d+)>", text(browser))]


def prompts(browser: Chrome) -> list[str]:
    """ "[1]:" of each cell; "[*]:" while it runs."""
    return [each.text for each in browser.find_elements(By.CSS_SELECTOR, f"{CELL} .jp-InputPrompt")]


def save(browser: Chrome) -> None:
    """Ctrl+S."""
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("s").key_up(Keys.CONTROL).perform()


def write_notebook(server: Served, path: Path, *cells: str, minor: int = 5, kernel: str = "python3") -> None:
    """A notebook of the account with these code cells, "cell-0" and so on; below format 4.5 they have no ids."""

    def cell(number: int, code: str) -> dict[str, Any]:
        ids = {"id": f"cell-{number}"} if minor >= 5 else {}
        return {"cell_type": "code", "source": code, "metadata": {}, "outputs": [], "execution_count": None, **ids}

    spec = {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
    every = [cell(number, code) for number, code in enumerate(cells)]
    path.write_text(json.dumps({"cells": every, "metadata": spec, "nbformat": 4, "nbformat_minor": minor}))
    os.chown(path, server.uid, -1)
