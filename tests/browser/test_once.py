"""Every line of a cell is in the page once, in both front ends, whichever of our processes is killed meanwhile."""

from __future__ import annotations

import json
import os
import random
import re
import signal

import pytest
from browser import pages
from selenium.webdriver import Chrome
from support.served import Served
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


def recorder(server: Served) -> int:
    (lock,) = server.home.rglob("recorder.lock")
    return int(json.loads(lock.read_bytes())["pid"])


def recorded(server: Served) -> int:
    """Bytes in all spools."""
    return sum(each.stat().st_size for each in server.home.rglob("spool/*/*.log"))


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
    if whose == "recorder":  # until it records, only the server has what is printed (docs/architecture.md)
        before = recorded(server)
        eventually(lambda: recorded(server) > before, "what it records")


@pytest.mark.parametrize("front", pages.FRONTS)
def test_each_line_is_shown_once_whatever_is_killed(
    with_lab: Served, browser: Chrome, logged_in: str, front: str
) -> None:
    stop = with_lab.home / f"stop-{front}"
    notebook = stop.with_suffix(".ipynb")
    pages.write_notebook(with_lab, notebook, COUNT.format(stop=str(stop)))
    browser.get(pages.address_of(logged_in, front, notebook))
    pages.ready(browser)
    pages.run_cell(browser, "")
    dice = random.Random(front)
    for _ in range(KILLS):
        seen = len(pages.numbers(browser))
        pages.until(browser, "more lines", lambda seen=seen: len(pages.numbers(browser)) > seen + dice.randrange(5, 60))
        kill(with_lab, dice.choice(["server", "server", "server", "recorder"]))
    stop.touch()
    end = pages.until(browser, "the end of the cell", lambda: re.search(r"lines: (\d+)\n", pages.text(browser)))
    shown, count = pages.numbers(browser), int(end[1])
    assert [each for each in range(count) if each not in set(shown)] == [], "missing"
    assert [each for each in set(shown) if shown.count(each) > 1] == [], "twice"
    assert shown == list(range(count))
