"""The environment that the user has chosen is that of a new notebook, in Notebook 7 and in JupyterLab."""

from __future__ import annotations

import re

from browser.pages import log_in, new_notebook, ready, run_cell, seen, text, until
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from support import environments
from support.served import served

TILES = '.jp-LauncherCard[data-category="Notebook"]'


def test_a_new_notebook_runs_in_the_chosen_environment(browser: Chrome) -> None:
    with served("--lab", "--kernels-environment", "") as server:
        paper = environments.usable(environments.venv(server.home / "work/paper/.venv", ipykernel="7.1"))
        assert server.link, "it serves"
        done = server.verb("env", "default", "paper")
        assert done.returncode == 0, done.stderr
        base = server.link.partition("login#")[0]
        log_in(browser, server.link, new_password="correct horse battery")
        new_notebook(browser)
        run_cell(browser, "import os; print(os.environ['VIRTUAL_ENV'])")
        until(browser, "it runs there", lambda: str(paper) in text(browser))

        browser.get(f"{base}lab")
        seen(browser, TILES)
        shown = [each.get_attribute("title") for each in browser.find_elements(By.CSS_SELECTOR, TILES)]
        assert shown == ["Python 3.11.2 (paper, default)", "Python 3.11.2 (paper)"]
        seen(browser, TILES).click()
        ready(browser)
        run_cell(browser, "import os; print(os.environ['VIRTUAL_ENV'])")
        until(browser, "it runs there", lambda: str(paper) in text(browser))
        assert re.search("/lab/tree/", browser.current_url)
