"""The whole way in the foreground: a driver (the fake one) tells of processes, and people are told of notebooks; what
holds memory and does nothing is ended, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.fake_nvml.serving import TOKEN, WithGpu, served_with_gpu
from support.tab import Tab
from support.waiting import eventually

GIB = 1 << 30


@pytest.fixture
def served() -> Iterator[WithGpu]:
    with served_with_gpu(
        "--gpu-cull", "--gpu-cull-memory-gib", "3", "--gpu-cull-idle", "4", "--gpu-cull-warning", "2"
    ) as here:
        yield here


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Of the tabs, which stay open: in a thread, because everything else here waits."""
    made = asyncio.new_event_loop()
    turning = threading.Thread(target=made.run_forever)
    turning.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    turning.join()
    made.close()


@contextmanager
def open_tab(loop: asyncio.AbstractEventLoop, served: WithGpu, kernel: str, code: str) -> Iterator[Tab]:
    """A tab in which a cell has begun."""
    tab = Tab(kernel, token=TOKEN)
    asyncio.run_coroutine_threadsafe(tab.connect(served.port), loop).result(60)
    asyncio.run_coroutine_threadsafe(tab.run(code), loop).result(60)
    try:
        yield tab
    finally:
        asyncio.run_coroutine_threadsafe(tab.close(), loop).result(60)


def test_from_the_driver_to_the_notebook_and_back(served: WithGpu, loop: asyncio.AbstractEventLoop) -> None:
    eventually(lambda: served.status().get("state") == "serving", "it serves")
    train, tests = served.notebook("train.ipynb"), served.notebook("eval.ipynb")
    working = "print('begun', flush=True); import time; time.sleep(3600)"
    with open_tab(loop, served, train, "model = 1"), open_tab(loop, served, tests, working):
        _told_and_freed(served, train, tests)


def _told_and_freed(served: WithGpu, train: str, tests: str) -> None:
    one, two = served.pid(train), served.pid(tests)
    served.driver_says(f"{one}:{2 * GIB} {two}:{GIB} {os.getpid()}:{GIB // 2}", utilisation=50)

    def past() -> dict[str, Any]:
        told: dict[str, Any] = json.loads(served.verb("gpu", "--since", "today", "--json").stdout)
        return {each["notebook"]: each for each in told["notebooks"] if each["gpu_hours"] > 0}

    paths = [str(served.home / name) for name in ("train.ipynb", "eval.ipynb")]
    by_path = eventually(lambda: (found := past()).keys() >= {*paths, None} and found, "it is in the history")
    assert [by_path[path]["memory_max_bytes"] for path in paths] == [2 * GIB, GIB]
    assert by_path[paths[0]]["kwh"] > by_path[paths[1]]["kwh"] > 0
    assert "train.ipynb" in served.verb("gpu", "--since", "1h").stdout

    def held() -> set[str | None]:
        (gpu,) = json.loads(served.verb("gpu", "--json").stdout)["gpus"]
        return {each["notebook"] for each in gpu["held_by"] or ()}

    eventually(lambda: held() == {*paths, None}, "it is shown now")

    # Renamed in the browser; then both hold much, nothing happens on the card, and a cell runs in one of them.
    session = next(each for each in served.ask("GET", "/api/sessions") if each["kernel"]["id"] == train)
    served.ask("PATCH", f"/api/sessions/{session['id']}", {"path": "final.ipynb"})
    final = str(served.home / "final.ipynb")
    eventually(lambda: final in past() and paths[0] not in past(), "its past goes by the new name")
    served.driver_says(f"{one}:{4 * GIB} {two}:{5 * GIB}", utilisation=0)
    eventually(lambda: "final.ipynb is ended at" in served.said, "people are warned")

    def kernels() -> set[str]:
        return {each["id"] for each in served.ask("GET", "/api/kernels")}

    eventually(lambda: kernels() == {tests}, "the idle one is ended, open tab or not")
    assert "to free the GPU: it held 4.0 GiB of its memory and was idle for" in served.said
    (culled,) = served.status()["culled"]
    assert "final.ipynb" in culled["cause"]
    served.driver_says(f"{two}:{5 * GIB}", utilisation=0)
    begun = time.monotonic()
    eventually(lambda: time.monotonic() > begun + 8, "twice the time that the other one had")
    assert kernels() == {tests}
