"""A kernel that ends at its start says why in a dialog of its page, in both front ends, however long it took; it is
started once for each try of the person.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator

import pytest
from browser import pages
from selenium.webdriver import Chrome
from support.served import Served, served

DIALOG = ".jp-Dialog"
SOON = "import sys; sys.exit('No module named ipykernel_launcher')"
LATE = "import sys, time; time.sleep(4); sys.exit('libcuda.so.1: cannot open shared object file')"
"""Longer than the 3 s for which the request that starts it waits."""


@pytest.fixture(scope="module")
def with_broken_kernels() -> Iterator[Served]:
    with served("--lab", "--no-tls") as here:
        assert here.link, "it serves"
        for name, code in (("soon", SOON), ("late", LATE)):
            write_kernelspec(here, name, f"open('starts-{name}', 'a').write('.'); {code}")
        yield here


def write_kernelspec(server: Served, name: str, code: str) -> None:
    directory = server.home / ".local/share/jupyter/kernels" / name
    directory.mkdir(parents=True)
    argv = [sys.executable, "-c", code, "{connection_file}"]
    (directory / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}))
    for each in (directory, *directory.parents[: len(directory.relative_to(server.home).parts) - 1]):
        os.chown(each, server.uid, -1)


def starts(server: Served, name: str) -> int:
    return len((server.home / f"starts-{name}").read_text())


def test_a_dialog_says_why_a_kernel_ended_at_its_start(with_broken_kernels: Served, browser: Chrome) -> None:
    server = with_broken_kernels
    found = re.search(r"https?://\S+#token=\S+", server.verb("token").stdout)
    assert found
    pages.log_in(browser, found[0], new_password="correct horse battery")
    last_words = {"soon": "No module named ipykernel_launcher", "late": "libcuda.so.1: cannot open shared object file"}
    for count, front in enumerate(("notebooks", "lab/tree"), 1):
        for name, words in last_words.items():
            notebook = server.home / f"{front.partition('/')[0]}-{name}.ipynb"
            pages.write_notebook(server, notebook, "1", kernel=name)
            browser.get(f"{found[0].partition('login#')[0]}{front}/{notebook.name}")
            dialog = pages.seen(browser, DIALOG)
            assert "Error Starting Kernel" in dialog.text
            assert words in dialog.text
            assert starts(server, name) == count
