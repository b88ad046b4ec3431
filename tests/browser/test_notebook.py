"""What the program is for, in a real Chromium over TLS: log in, write, run, see, come back."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from browser import chromium as browsers
from browser import pages
from selenium.webdriver import Chrome
from support.served import Served

PASSWORD = "correct horse battery staple"


def saved(notebook: Path, text: str) -> bool:
    """Whether the file holds the text in an output."""
    try:
        cells = json.loads(notebook.read_text())["cells"]
    except (FileNotFoundError, ValueError):
        return False
    return text in json.dumps([cell.get("outputs") for cell in cells])


def test_no_wrong_turn_of_the_first_login_loses_the_link(server: Served, browser: Chrome) -> None:
    browser.get(server.link)
    token = server.link.partition("token=")[2]

    def stays(press: Callable[[], None]) -> None:
        press()
        assert urlsplit(browser.current_url).path.endswith("/login")
        assert pages.seen(browser, "#password_input").get_attribute("value") == token

    submit, new, again = "#login_submit", "#new_password_input", "#new_password_again_input"
    assert "at least 8 characters" in pages.seen(browser, "#length").text.lower()
    stays(lambda: pages.seen(browser, submit).click())  # nothing typed: the page asks for it
    pages.seen(browser, new).send_keys("short")
    pages.seen(browser, again).send_keys("short")
    stays(lambda: pages.seen(browser, submit).click())
    stays(browser.refresh)
    for each in (new, again):  # as a browser that does not check
        browser.execute_script("document.querySelector(arguments[0]).removeAttribute('minlength')", each)
        pages.seen(browser, each).send_keys("short")
    stays(lambda: pages.seen(browser, submit).click())
    assert "at least 8 characters" in pages.seen(browser, ".problem").text
    stays(browser.back)
    browser.get(server.link.partition("#")[0])
    stays(lambda: None)


def test_first_login_sets_a_password_and_a_notebook_runs_and_survives_a_reload(server: Served, browser: Chrome) -> None:
    link = server.link
    pages.log_in(browser, link, new_password=PASSWORD)
    assert "token" not in browser.current_url
    pages.new_notebook(browser)
    pages.run_cell(browser, "print('six times seven', 6 * 7)")
    pages.until(browser, "the output", lambda: "six times seven 42" in pages.outputs(browser))
    pages.save(browser)
    pages.until(browser, "the file", lambda: saved(server.home / "Untitled.ipynb", "six times seven 42"))
    browser.refresh()
    pages.ready(browser)
    pages.until(browser, "the output after the reload", lambda: "six times seven 42" in pages.outputs(browser))


def test_the_password_opens_a_fresh_browser_and_the_link_is_spent(server: Served, browser: Chrome) -> None:
    base = server.link.partition("login#")[0]
    pages.log_in(browser, base, password=PASSWORD)
    with browsers.chromium() as other:
        other.get(server.link)
        pages.seen(other, "#login_submit").click()
        assert "already been used" in pages.seen(other, ".problem").text
        assert urlsplit(other.current_url).path.endswith("/login")


def test_a_wrong_password_stays_outside(server: Served, browser: Chrome) -> None:
    browser.get(server.link.partition("login#")[0])
    pages.seen(browser, "#password_input").send_keys("wrong")
    pages.seen(browser, "#login_submit").click()
    assert "Wrong" in pages.seen(browser, ".problem").text


def test_a_running_cell_outlives_the_server_in_the_same_tab(server: Served, browser: Chrome) -> None:
    pages.log_in(browser, server.link.partition("login#")[0], password=PASSWORD)
    pages.new_notebook(browser)
    pages.run_cell(browser, "import os, time; kept = os.getpid(); print('began', kept)")
    pages.until(browser, "the first output", lambda: "began" in pages.outputs(browser))
    kept = pages.outputs(browser).split()[-1]
    before = server.status()["server"]["pid"]
    pages.run_cell(browser, "time.sleep(6); later = kept")
    os.kill(before, signal.SIGKILL)

    def replaced() -> bool:
        now = server.status()
        return now["state"] == "serving" and now["server"]["pid"] != before

    pages.until(browser, "another server", replaced)
    pages.until(browser, "the tab to be connected again", lambda: pages.kernel_status(browser) in {"idle", "busy"})
    pages.run_cell(browser, "print('after', later)")
    pages.until(browser, "the answer of the same kernel", lambda: f"after {kept}" in pages.outputs(browser))


def test_what_is_printed_while_no_server_listens_goes_on_in_the_same_tab(server: Served, browser: Chrome) -> None:
    pages.log_in(browser, server.link.partition("login#")[0], password=PASSWORD)
    pages.new_notebook(browser)
    pages.run_cell(browser, "import time\nfor n in range(120): print(f'<{n}>', flush=True); time.sleep(0.1)")
    # Notebook's editor indents what follows a colon by itself; on one line there is nothing to indent.
    pages.until(browser, "the first numbers", lambda: "<15>" in pages.outputs(browser))
    os.kill(server.status()["server"]["pid"], signal.SIGKILL)
    pages.until(browser, "the last number", lambda: "<119>" in pages.outputs(browser))
    pages.until(browser, "the end of the cell", lambda: pages.kernel_status(browser) == "idle")
    pages.run_cell(browser, "print('after')")
    pages.until(browser, "the next cell", lambda: "after" in pages.outputs(browser))
    shown = [int(each) for each in re.findall(r"<(\d+)>", pages.outputs(browser))]
    assert shown == list(range(120)), "missing, twice, or out of order"
    assert "*" not in "".join(pages.prompts(browser)[:2]), "the cell is seen to have ended"


def test_why_a_kernel_died_stands_under_the_cell_that_it_was_at(server: Served, browser: Chrome) -> None:
    pages.log_in(browser, server.link.partition("login#")[0], password=PASSWORD)
    pages.new_notebook(browser)
    pages.run_cell(browser, "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)")
    pages.until(browser, "the first output", lambda: re.search(r"pid \d+", pages.outputs(browser)))
    os.kill(int(pages.outputs(browser).split()[-1]), signal.SIGKILL)
    pages.until(browser, "the cause", lambda: "the kernel died here: killed (SIGKILL)" in pages.outputs(browser))
    pages.until(browser, "the end of the cell", lambda: pages.prompts(browser)[0] == "[1]:")
    ended = server.status()["kernels_ended"][-1]
    assert ended["cause"].startswith("killed (SIGKILL)")


def test_the_login_page_fits_a_phone(server: Served) -> None:
    with browsers.chromium(390, 844) as phone:
        metrics = {"width": 390, "height": 844, "deviceScaleFactor": 3, "mobile": True}
        phone.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        phone.get(server.link.partition("login#")[0])
        field, button = pages.seen(phone, "#password_input"), pages.seen(phone, "#login_submit")
        assert phone.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        for each in (field, button):
            box = each.rect
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
            assert box["height"] >= 40, "a finger must hit it"
        assert phone.execute_script("return parseFloat(getComputedStyle(arguments[0]).fontSize)", field) >= 16, (
            "an iPhone zooms into smaller fields"
        )
