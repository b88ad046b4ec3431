"""A server that is away for a moment is not noticed in the page; one that is away for longer is told calmly, in both
front ends, and then all goes on by itself.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from browser import pages
from browser.test_once import COUNT, kill
from selenium.webdriver import ActionChains, Chrome, Keys
from support.link import Link, linked
from support.served import Served, served
from support.waiting import eventually

NOTICE, LOGGED_OUT = "#jupyterd-away", "#jupyterd-logged-out"
ASLEEP_S = 6.0
"""More than sockets.js takes for a sleep."""
_WATCH = """
window.told = [];
new MutationObserver(() => {
  for (const each of document.querySelectorAll(".jp-Dialog, .Toastify__toast, #jupyterd-away, #jupyterd-logged-out")) {
    if (!/Jupyter news/.test(each.textContent) && !told.includes(each.textContent)) {
      told.push(each.textContent);
    }
  }
}).observe(document, { subtree: true, childList: true, characterData: true });
"""
_SAVES = """
return performance.getEntriesByType("resource")
  .filter(each => /\\/checkpoints/.test(each.name) && each.responseStatus === 201).length;
"""


@pytest.fixture(scope="module")
def plain() -> Iterator[Served]:
    """Without TLS, behind which a reverse proxy could not answer for it."""
    with served("--lab", "--no-tls") as here:
        yield here


@pytest.fixture
def link(plain: Served) -> Iterator[Link]:
    assert plain.link, "it serves"
    with linked(plain.port) as here:
        yield here


def told(browser: Chrome) -> list[str]:
    """The text of each dialog and notice that was shown."""
    return list(browser.execute_script("return told"))


def more(browser: Chrome, count: int = 3) -> None:
    """Until further lines have come."""
    before = len(pages.numbers(browser))
    pages.until(browser, "more lines", lambda: len(pages.numbers(browser)) > before + count)


def saves(browser: Chrome) -> int:
    """How often the page has saved; only then it takes the next Ctrl-S."""
    return int(browser.execute_script(_SAVES))


@contextmanager
def asleep(browser: Chrome) -> Iterator[None]:
    """All processes of the browser, as when a laptop is closed."""
    processes = psutil.Process(browser.service.process.pid).children(recursive=True)
    for each in processes:
        each.suspend()
    try:
        yield
    finally:
        for each in processes:
            each.resume()


@pytest.mark.parametrize("front", pages.FRONTS)
def test_what_is_over_soon_is_not_noticed_and_what_lasts_is_told_and_taken_back(
    plain: Served, link: Link, browser: Chrome, front: str
) -> None:
    stop = plain.home / f"stop-{front}"
    notebook = stop.with_suffix(".ipynb")
    pages.write_notebook(plain, notebook, COUNT.format(stop=str(stop)))
    found = re.search(r"https?://\S+#token=\S+", plain.verb("token").stdout)
    assert found
    address = found[0].replace(str(plain.port), str(link.port))
    pages.log_in(browser, address, new_password="correct horse battery")
    browser.get(pages.address_of(address.partition("login#")[0], front, notebook))
    pages.ready(browser)
    browser.execute_script(_WATCH)
    pages.run_cell(browser, "")
    more(browser)

    for _ in range(2):  # a server is killed while it has a cell and a request of the page in hand
        shown, before, server = len(pages.numbers(browser)), saves(browser), plain.status()["server"]["pid"]
        os.kill(server, signal.SIGSTOP)
        for click in (
            lambda: pages.run_cell(browser, f"open('ran-{stop.name}', 'a').write('x')"),
            lambda: pages.save(browser),
        ):
            sent = link.sent
            click()
            eventually(lambda sent=sent: link.sent > sent, "it is on its way")
        kill(plain, "server")
        pages.until(browser, "the save", lambda before=before: saves(browser) > before)
        assert f"<{shown - 1}>" in notebook.read_text()
        more(browser)

    link.become("refusing")  # a moment without a network: what is clicked meanwhile is done
    shown, before = len(pages.numbers(browser)), saves(browser)
    pages.save(browser)
    link.become("open")
    pages.until(browser, "the save", lambda: saves(browser) > before)
    assert f"<{shown - 1}>" in notebook.read_text()
    more(browser)
    assert told(browser) == []
    assert pages.kernel_status(browser) == "busy"

    link.become("bad gateway")  # it lasts: told once, and taken back
    notice = pages.seen(browser, NOTICE)
    assert "No connection to the server since" in notice.text
    link.become("open")
    pages.until(browser, "the notice goes", lambda: not browser.find_elements("css selector", NOTICE))
    more(browser)
    pages.until(browser, "the kernel is not dead", lambda: pages.kernel_status(browser) == "busy")

    with asleep(browser):  # nobody tells the page that its connections are dead
        link.become("silent")
        time.sleep(ASLEEP_S)
        link.open_but_forget()
    more(browser)

    stop.touch()
    pages.until(browser, "the end", lambda: "lines:" in pages.outputs(browser))
    assert pages.numbers(browser) == list(range(len(pages.numbers(browser)))), "missing, twice, or out of order"
    assert len(told(browser)) == 1, told(browser)
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    pages.run_cell(browser, "print('still', 'here')")
    pages.until(browser, "the next cell", lambda: "still here" in pages.outputs(browser))
    assert (plain.home / f"ran-{stop.name}").read_text() == "xx", "each cell ran, and once"


@pytest.mark.parametrize("front", pages.FRONTS)
def test_a_login_that_is_over_is_no_dead_kernel_and_the_next_one_goes_on(
    plain: Served, browser: Chrome, front: str
) -> None:
    password = "correct horse battery"
    notebook = plain.home / f"login-{front}.ipynb"
    pages.write_notebook(plain, notebook, "kept = 'kept'; print('begun')")
    found = re.search(r"https?://\S+#token=\S+", plain.verb("token").stdout)
    assert found
    base = found[0].partition("login#")[0]
    pages.log_in(browser, found[0], new_password=password)
    browser.get(pages.address_of(base, front, notebook))
    pages.ready(browser)
    pages.run_cell(browser, "")
    pages.until(browser, "its output", lambda: "begun" in pages.outputs(browser))
    browser.execute_script(_WATCH)
    page = browser.current_window_handle

    browser.switch_to.new_window("tab")
    browser.get(f"{base}logout")
    browser.switch_to.window(page)
    assert "Log in again in another tab" in pages.seen(browser, LOGGED_OUT).text
    browser.switch_to.new_window("tab")
    pages.log_in(browser, base, password=password)
    browser.switch_to.window(page)
    pages.until(browser, "the notice goes", lambda: not browser.find_elements("css selector", LOGGED_OUT))
    pages.run_cell(browser, "print(kept, 'on')")
    pages.until(browser, "the same kernel", lambda: "kept on" in pages.outputs(browser))
    assert len(told(browser)) == 1, told(browser)
