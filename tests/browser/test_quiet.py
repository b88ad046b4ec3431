"""What a person who opens both front ends finds in the log: only lines that somebody may have to read."""

from __future__ import annotations

import re

from browser import chromium as browsers
from browser import pages
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from support.served import served

KNOWN = re.compile(
    r"""
    no\ NVIDIA\ driver: | started\ the\ Jupyter\ server | serving\ https:// | the\ spare\ takes\ over
    | the\ one-time\ token\ was\ used\ and\ a\ password\ was\ set | the\ password\ or\ a\ token\ was\ changed$
    | Writing\ notebook-signing\ key | Creating\ new\ notebook | Kernel\ started:
    """,
    re.VERBOSE,
)

ASKS_FOR_A_BUILD = 'return JSON.parse(document.getElementById("jupyter-config-data").textContent).buildCheck'
"""Whether the page has the server run Node.js, which crashes in the service's sandbox with many lines."""


def accept_the_certificate(browser: Chrome) -> None:
    """Advanced, Proceed."""
    pages.seen(browser, "#details-button").click()
    pages.seen(browser, "#proceed-link").click()


def test_both_front_ends_leave_no_line_that_nobody_has_to_read() -> None:
    with served() as server, browsers.chromium(warns=True) as browser:
        (server.home / "leads-nowhere").symlink_to("gone")
        base = server.link.partition("login#")[0]
        browser.get(server.link)
        accept_the_certificate(browser)
        pages.seen(browser, "#password_input")
        for field in ("#new_password_input", "#new_password_again_input"):
            pages.seen(browser, field).send_keys("correct horse battery staple")
        browser.find_element(By.CSS_SELECTOR, "#login_submit").click()
        pages.until(browser, "the page after the login", lambda: "/tree" in browser.current_url)
        pages.new_notebook(browser)
        pages.run_cell(browser, "print('six', 6 * 7)")
        pages.until(browser, "the output", lambda: "six 42" in pages.outputs(browser))
        pages.save(browser)
        notebook = server.home / "Untitled.ipynb"
        pages.until(browser, "the file", lambda: "six 42" in notebook.read_text())
        browser.switch_to.new_window("tab")
        browser.get(f"{base}lab/tree/Untitled.ipynb")
        pages.ready(browser)
        pages.run_cell(browser, "print('seven', 7 * 7)")
        pages.until(browser, "the output in JupyterLab", lambda: "seven 49" in pages.outputs(browser))
        assert browser.execute_script(ASKS_FOR_A_BUILD) is False
        pages.save(browser)
        browser.refresh()
        pages.ready(browser)
        found = [line for line in re.sub(r"\x1b\[\d*m", "", server.said).splitlines() if line[:1] != " " and line]
    texts = [re.sub(r"^(server \| )?\d\d:\d\d:\d\d ", "", line.rstrip("\r")) for line in found]
    assert [text for text in texts if not KNOWN.match(text)] == [], texts
    assert any(text.startswith("Kernel started") for text in texts), "the lines of the server are among them"
