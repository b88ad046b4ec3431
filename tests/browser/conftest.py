"""One server for the whole folder, a fresh browser for each test, and a picture of every tab of a failed one."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium as browsers
from browser import pages
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from support.served import Served, served

_FAILED = pytest.StashKey[bool]()


@pytest.fixture(autouse=True, scope="session")
def _chromium_is_there() -> None:
    if not browsers.CHROMIUM or not browsers.DRIVER:
        pytest.skip("chromium or chromedriver is missing: sudo apt install chromium chromium-driver")


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """`jupyterd run` of an ordinary account."""
    with served() as here:
        yield here


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


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Iterator[Chrome]:
    """A browser with no past; pictures of its tabs when the test failed."""
    with browsers.chromium() as made:
        yield made
        if request.node.stash.get(_FAILED, False):
            request.node.add_report_section("teardown", "pictures", _pictures(made))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Tell the fixtures how the test went."""
    report = yield
    if report.when == "call" and report.failed:
        item.stash[_FAILED] = True
    return report


def _pictures(browser: Chrome) -> str:
    there = Path(tempfile.mkdtemp(prefix="jupyterd-pictures-"))
    said = [f"pictures of every tab: {there}"]
    for number, tab in enumerate(browser.window_handles):
        try:
            browser.switch_to.window(tab)
            browser.save_screenshot(str(there / f"tab-{number}.png"))
            (there / f"tab-{number}.html").write_text(browser.page_source, encoding="utf-8")
            said += [f"console of tab {number}: {each['message'][:300]}" for each in browser.get_log("browser")]
        except WebDriverException as error:
            said.append(f"none of tab {number}: {error.msg}")
    return "\n".join(said)
