"""A kernel that is ended soon is told of on the page itself, in the notebook and in JupyterLab."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser.pages import new_notebook, run_cell, seen, until
from selenium.webdriver import Chrome
from support.fake_nvml.serving import TOKEN, WithGpu, served_with_gpu
from support.waiting import eventually

GIB = 1 << 30
NOTICE = ".Toastify__toast"


@pytest.fixture
def with_gpu() -> Iterator[WithGpu]:
    idle = ("--gpu-cull-idle", "3600", "--gpu-cull-warning", "3595")  # told after 5 s, ended long after the test
    with served_with_gpu("--gpu-cull", *idle) as here:
        yield here


def test_the_page_says_that_its_kernel_is_ended_soon(with_gpu: WithGpu, browser: Chrome) -> None:
    eventually(lambda: with_gpu.status().get("state") == "serving", "it serves")
    browser.get(f"http://localhost:{with_gpu.port}/tree?token={TOKEN}")
    new_notebook(browser)
    run_cell(browser, "model = 'large'")
    (kernel,) = (each["id"] for each in with_gpu.ask("GET", "/api/kernels"))
    with_gpu.driver_says(f"{with_gpu.pid(kernel)}:{4 * GIB}", utilisation=0)
    toast = seen(browser, NOTICE)
    until(browser, "it says which", lambda: "Untitled.ipynb: idle for" in toast.text)
    assert "Run a cell to keep it" in toast.text
