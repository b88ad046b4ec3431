"""A save that takes long is finished by the server that began it, while another one serves everybody else."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import frozen_disk, stalled_fs
from support.served import UID, Served
from support.tab import Tab
from support.waiting import eventually

from jupyterd.linux import proc

TOKEN = "a-lasting-token-for-this-test"
PATIENCE_S = 120.0
CONFIG = """
import asyncio
import os
import threading
import time

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

def hook(model, path, contents_manager, **_):
    begun()
    if path == "disk.ipynb":
        open({there!r} + "/fifo").read()
    if path == "work.ipynb":
        while not os.path.exists({there!r} + "/go"):
            pass
    if path == "nap.ipynb":
        while not os.path.exists({there!r} + "/go"):
            time.sleep(1.0)
    if path == "lock.ipynb":
        for_ever()

def begun():
    with open({there!r} + "/begun", "w"):
        pass

def for_ever():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

async def turns(self, model, path=""):
    # A save whose event loop turns: of a contents manager on the network.
    begun()
    while path == "turns.ipynb" and not os.path.exists({there!r} + "/go"):
        await asyncio.sleep(0.1)
    return await stock(self, model, path)

stock, AsyncLargeFileManager.save = AsyncLargeFileManager.save, turns
c.ContentsManager.pre_save_hook = hook
"""
NOTEBOOK: dict[str, Any] = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


class Busy(Served):
    """`jupyterd run` that takes a server for busy or hung after three seconds."""

    def account(self) -> dict[str, Any]:
        own = super().account()
        return {**own, "env": {**own["env"], "JUPYTERD_LOGIN_TOKEN": TOKEN}}

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        return answer.status, json.loads(text) if text else None

    def serving(self) -> int | None:
        """The pid of the server that serves."""
        told = self.status()
        return int(told["server"]["pid"]) if told.get("state") == "serving" else None

    def doing(self) -> str:
        """The line of the status, as in STATUS=."""
        return str(self.status()["status"])

    def items(self) -> dict[str, str]:
        return {each["code"]: each["text"] for each in self.status()["items"]}


@dataclass
class Save:
    """A save in a thread of its own."""

    server: Busy
    name: str
    status: list[int] = field(default_factory=list)

    def begin(self) -> Save:
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def _run(self) -> None:
        body = {"type": "notebook", "format": "json", "content": NOTEBOOK}
        with suppress(OSError, http.client.HTTPException):  # never answered
            self.status.append(self.server.ask("PUT", f"/api/contents/{self.name}", body)[0])


@pytest.fixture
def there() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="jupyterd-busy-"))
    made.chmod(0o755)
    (made / "jupyter_server_config.py").write_text(CONFIG.format(there=str(made)))
    os.mkfifo(made / "fifo")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def server(there: Path) -> Iterator[Busy]:
    home = Path(tempfile.mkdtemp(prefix="jupyterd-busy-"))
    if os.geteuid() == 0:
        for each in (there, there / "fifo", home):
            os.chown(each, UID, UID)
    here = Busy(
        home, "--no-tls", "--no-lab", "--jupyter-config-dir", str(there), "--root-dir", str(home),
        "--kernels-environment", sys.prefix, "--hang-after", "3", "--probe-every", "1",
        "--stop-timeout", "3",
    )  # fmt: skip
    try:
        eventually(lambda: "serving http" in here.said, "it serves", PATIENCE_S)
        yield here
    finally:
        here.stop()
        shutil.rmtree(home, ignore_errors=True)


def release(there: Path, name: str) -> None:
    if name == "disk.ipynb":
        (there / "fifo").write_text("")
    else:
        (there / "go").touch()


@pytest.mark.parametrize("name", ["disk.ipynb", "work.ipynb", "nap.ipynb"])
def test_a_save_is_finished_and_the_kernels_go_on_with_another_server(server: Busy, there: Path, name: str) -> None:
    asyncio.run(saved(server, there, name))


async def saved(server: Busy, there: Path, name: str) -> None:
    kernel = (await asyncio.to_thread(server.ask, "POST", "/api/kernels"))[1]["id"]
    first = await asyncio.to_thread(server.serving)
    tab = Tab(kernel, token=TOKEN)
    await tab.connect(server.port)
    asked = await tab.run("x = 41")
    await tab.until(lambda: tab.done(asked))

    save = Save(server, name).begin()
    await tab.lost(PATIENCE_S)  # hung up by the old server, whose event loop stands still
    await tab.connect(server.port)
    asked = await tab.run("print(x + 1)")
    await tab.until(lambda: tab.done(asked) and tab.text(asked) == "42\n")
    second = await asyncio.to_thread(server.serving)
    assert second not in (None, first), server.said
    assert proc.started(int(first or 0)) is not None and save.status == [], "the first one is still busy"
    items = await asyncio.to_thread(server.items)
    assert (str(there / "fifo") in items["server-busy"]) is (name == "disk.ipynb"), items
    assert "in hook" in server.said, "its stack says where it is"

    await asyncio.to_thread(release, there, name)
    await asyncio.to_thread(eventually, lambda: save.status, "the save's answer", PATIENCE_S)
    assert save.status == [201], server.said
    assert json.loads((server.home / name).read_text())["nbformat"] == 4
    await asyncio.to_thread(eventually, lambda: proc.started(int(first or 0)) is None, "the first one ends", PATIENCE_S)
    asked = await tab.run("print(x + 2)")
    await tab.until(lambda: tab.done(asked) and tab.text(asked) == "43\n")
    assert await asyncio.to_thread(server.serving) == second, server.said
    await asyncio.to_thread(eventually, lambda: "server-busy" not in server.items(), "the item is over", PATIENCE_S)
    await tab.close()


def test_a_save_onto_a_disk_that_stalls_is_there_when_the_disk_goes_on(server: Busy, there: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system: sudo ./check")
    first, place = server.serving(), server.home / "slow"
    place.mkdir()
    with frozen_disk.mounted(place, there / "image", server.uid) as disk:
        disk.freeze()
        try:
            save = Save(server, "slow/a.ipynb").begin()
            eventually(lambda: server.serving() not in (None, first), "another server", PATIENCE_S)
            assert f" (ext4 on {place})" in server.items()["server-busy"]
            status, told = server.ask("GET", "/api/contents/slow/b.ipynb")
            assert (status, save.status) == (503, []) and f"{place} does not answer" in told["message"]
        finally:
            disk.thaw()
        eventually(lambda: save.status == [201], "the save's answer", PATIENCE_S)
        assert json.loads((place / "a.ipynb").read_text())["nbformat"] == 4
        eventually(lambda: server.ask("GET", "/api/contents/slow/a.ipynb")[0] == 200, "it is served again", PATIENCE_S)


def test_a_disk_that_does_not_answer_is_named_and_everything_else_goes_on(server: Busy) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system: sudo ./check")
    there, first = server.home / "nas", server.serving()
    there.mkdir()
    (server.home / "link").symlink_to(there)
    answers: list[tuple[int, Any]] = []

    def names() -> set[str]:
        status, model = server.ask("GET", "/api/contents")
        assert status == 200, model
        return {each["name"] for each in model["content"]}

    def refused(path: str) -> bool:
        status, told = server.ask("GET", f"/api/contents/{path}")
        return status == 503 and f"{there} does not answer" in told["message"]

    def others_go_on(name: str) -> None:
        assert all(refused(each) for each in ("nas", "nas/a.ipynb", "link/deep/b.ipynb"))
        assert {"nas", "link"}.isdisjoint(names())
        body = {"type": "notebook", "format": "json", "content": NOTEBOOK}
        assert server.ask("PUT", f"/api/contents/{name}", body)[0] == 201
        assert name in names()

    with stalled_fs.mounted(there) as file_server:
        # A page that lists the directory in which it is mounted looks in a thread: the server itself notices.
        file_server.send_signal(signal.SIGSTOP)
        assert {"nas", "link"}.isdisjoint(names())
        others_go_on("beside.ipynb")
        assert f"{there} does not answer" in server.items()["disk-silent"]
        file_server.send_signal(signal.SIGCONT)
        eventually(lambda: {"nas", "link"} <= names(), "it is listed again", PATIENCE_S)
        eventually(lambda: "disk-silent" not in server.items(), "the problem is over", PATIENCE_S)
        assert server.serving() == first

        # One that opens it holds the event loop: that server is retired, and the next one is told.
        file_server.send_signal(signal.SIGSTOP)
        looking = threading.Thread(target=lambda: answers.append(server.ask("GET", "/api/contents/nas")), daemon=True)
        looking.start()
        eventually(lambda: server.serving() not in (None, first), "another server", PATIENCE_S)
        second = server.serving()
        others_go_on("later.ipynb")
        assert server.ask("GET", "/api/kernels") == (200, [])
        assert f" of {there} (fuse on {there})" in server.items()["server-busy"]
        assert answers == [] and server.serving() == second
        file_server.send_signal(signal.SIGCONT)
        looking.join(PATIENCE_S)
        ((status, model),) = answers
        assert (status, model["type"], model["content"]) == (200, "directory", [])
        eventually(lambda: {"nas", "link"} <= names(), "it is listed again", PATIENCE_S)
    eventually(lambda: "server-busy" not in server.items(), "the retired one ends", PATIENCE_S)
    assert "the retired server has finished and ended" in server.said
    assert server.serving() == second


@pytest.mark.parametrize("name", ["disk.ipynb", "work.ipynb", "turns.ipynb"])
def test_a_stop_waits_for_a_save_and_says_so(server: Busy, there: Path, name: str) -> None:
    save = Save(server, name).begin()
    eventually((there / "begun").exists, "the save has begun", PATIENCE_S)
    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: f"busy with PUT /api/contents/{name}" in server.said, "it says why it waits", PATIENCE_S)
    assert f"Stopping: the server is busy with PUT /api/contents/{name} (" in server.doing()
    assert server.process.poll() is None and not (server.home / name).exists()
    release(there, name)
    assert server.process.wait(PATIENCE_S) == 0
    assert json.loads((server.home / name).read_text())["nbformat"] == 4
    eventually(lambda: save.status == [201], "the save's answer", PATIENCE_S)


def test_a_stop_ends_a_server_that_neither_works_nor_waits(server: Busy, there: Path) -> None:
    Save(server, "lock.ipynb").begin()
    eventually((there / "begun").exists, "the save has begun", PATIENCE_S)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE_S) == 0, "it neither works nor waits for anything"
    assert "is busy with" not in server.said


def test_other_settings_are_in_force_while_a_save_is_finished(server: Busy, there: Path) -> None:
    first = server.serving()
    save = Save(server, "work.ipynb").begin()
    eventually((there / "begun").exists, "the save has begun", PATIENCE_S)
    settings = server.home / ".config/jupyterd/jupyterd.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("[server]\nhidden_files = true\n")
    for each in (settings, settings.parent, settings.parent.parent):
        os.chown(each, server.uid, -1)
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: server.serving() not in (None, first), "another server", PATIENCE_S)
    assert "still works on PUT /api/contents/work.ipynb;" in server.items()["server-busy"], server.items()
    assert save.status == []
    release(there, "work.ipynb")
    eventually(lambda: save.status == [201], "the save's answer", PATIENCE_S)
    assert json.loads((server.home / "work.ipynb").read_text())["nbformat"] == 4
    eventually(lambda: proc.started(int(first or 0)) is None, "the first one ends", PATIENCE_S)
