"""A real Chromium: the system's own, headless, one throw-away profile for each; nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium") or "", shutil.which("chromedriver") or ""
PAGE_TIMEOUT_S = 60
FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium(width: int = 1280, height: int = 900, *, warns: bool = False) -> Iterator[Chrome]:
    """A browser with no past. With `warns` it refuses a certificate that it does not know, as a person's would."""
    profile = Path(tempfile.mkdtemp(prefix="jupyterd-chromium-"))
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in FLAGS:
        options.add_argument(flag)
    if not warns:
        options.add_argument("--ignore-certificate-errors")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # it refuses to run as root otherwise
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument(f"--window-size={width},{height}")
    # selenium would look on the network for a newer driver.
    environ = os.environ | {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}
    try:
        browser = Chrome(options=options, service=Service(DRIVER, env=environ))
        try:
            browser.set_page_load_timeout(PAGE_TIMEOUT_S)
            yield browser
        finally:
            browser.quit()
    finally:
        shutil.rmtree(profile, ignore_errors=True)
