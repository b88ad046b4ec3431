"""Every line of a cell is in the page once, in both front ends, whichever of our processes is killed meanwhile."""

from __future__ import annotations

import json
import os
import random
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import pages
from selenium.webdriver import Chrome
from support.served import Served, served
from support.waiting import eventually

COUNT = """
import pathlib, time
n = 0
while not pathlib.Path({stop!r}).exists():
    print(f"<{{n}}>", flush=True)
    n += 1
    time.sleep(0.01)
print("lines:", n)
"""
KILLS = 6
_TEXT = f"""return Array.from(document.querySelectorAll("{pages.OUTPUT}"), each => each.textContent).join("\\n");"""


@pytest.fixture(scope="module")
def with_lab() -> Iterator[Served]:
    with served("--lab") as here:
        yield here


@pytest.fixture
def logged_in(with_lab: Served, browser: Chrome) -> str:
    """A browser that has logged in; the address of the server."""
    assert with_lab.link, "it serves"
    found = re.search(r"https?://\S+#token=\S+", with_lab.verb("token").stdout)
    assert found
    link = found[0]
    pages.log_in(browser, link, new_password="correct horse battery")
    return link.partition("login#")[0]


def numbers(browser: Chrome) -> list[int]:
    return [int(each) for each in re.findall(r"<(\d+)>", browser.execute_script(_TEXT))]


def recorder(server: Served) -> int:
    (lock,) = server.home.rglob("recorder.lock")
    return int(json.loads(lock.read_bytes())["pid"])


def kill(server: Served, whose: str) -> None:
    """SIGKILL; returns when there is another process in its place."""

    def pid() -> int:
        """0: there is none at this moment."""
        if whose == "recorder":
            return recorder(server)
        found = server.status()["server"]
        return 0 if found is None else int(found["pid"])

    killed = eventually(pid, f"a {whose}")
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: pid() not in {0, killed}, f"another {whose}")


@pytest.mark.parametrize("front", ["notebooks", "lab/tree"])
def test_each_line_is_shown_once_whatever_is_killed(
    with_lab: Served, browser: Chrome, logged_in: str, front: str
) -> None:
    stop = with_lab.home / f"stop-{front.partition('/')[0]}"
    notebook = stop.with_suffix(".ipynb")
    write_notebook(with_lab, notebook, COUNT.format(stop=str(stop)))
    browser.get(f"{logged_in}{front}/{notebook.name}")
    pages.ready(browser)
    pages.run_cell(browser, "")
    dice = random.Random(front)
    for _ in range(KILLS):
        seen = len(numbers(browser))
        pages.until(browser, "more lines", lambda seen=seen: len(numbers(browser)) > seen + dice.randrange(5, 60))
        kill(with_lab, dice.choice(["server", "server", "server", "recorder"]))
    stop.touch()
    pages.until(browser, "the end of the cell", lambda: "lines:" in browser.execute_script(_TEXT))
    shown = numbers(browser)
    count = int(browser.execute_script(_TEXT).rpartition("lines:")[2])
    assert [each for each in range(count) if each not in set(shown)] == [], "missing"
    assert [each for each in set(shown) if shown.count(each) > 1] == [], "twice"
    assert shown == list(range(count))


def write_notebook(server: Served, path: Path, code: str, kernel: str = "python3") -> None:
    cell = {
        "cell_type": "code", "id": "count", "source": code, "metadata": {}, "outputs": [], "execution_count": None
    }  # fmt: skip
    spec = {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
    path.write_text(json.dumps({"cells": [cell], "metadata": spec, "nbformat": 4, "nbformat_minor": 5}))
    os.chown(path, server.uid, -1)
