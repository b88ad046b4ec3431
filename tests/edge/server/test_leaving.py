"""Pages that are left while their websockets connect, at every stage of it: nothing is said, nothing is kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from pathlib import Path

from support import leaver
from support.tab import Tab
from support.waiting import eventually
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from jupyterd.protocol import cursors

TOKEN = "a-lasting-token-0123456789"
HEADERS = {"Authorization": f"token {TOKEN}"}
WARM_UP, LEFT = 200, 1200
"""Pages before the baseline is taken, and after it."""
TICKS = (
    "import time\nn = 0\nwhile True:\n    print(str(n) + chr(10), end='', flush=True)\n    n += 1\n    time.sleep(0.02)"
)


def open_files(pid: int) -> Counter[str]:
    """What the process has open: how often each; a pipe and a socket without its number."""
    found: Counter[str] = Counter()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found[str(each.readlink()).partition(":[")[0]] += 1
    return found


def nothing_more(pid: int, than: Counter[str]) -> None:
    """Wait until the process has nothing open that it had not then."""
    eventually(lambda: not (open_files(pid) - than), f"more than {than}")


class Shell:
    """The page of a terminal, which stays, and reads all the while, as a page does: tmux redraws for one that lags."""

    def __init__(self, connection):
        self._connection, self.shown = connection, ""
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def open(cls, port, terminal):
        url = f"ws://localhost:{port}/terminals/websocket/{terminal}"
        made = cls(await websocket_connect(HTTPRequest(url, headers=HEADERS)))
        await made._connection.write_message(json.dumps(["stdin", "while sleep 0.02; do echo tick-$((n++)).; done\r"]))
        return made

    async def _read(self):
        while (data := await self._connection.read_message()) is not None:
            kind, said = json.loads(data)
            self.shown += said if kind == "stdout" else ""

    async def close(self):
        self._connection.close()
        await self._reading


def test_pages_that_are_left_while_they_connect_leave_nothing_behind(prepare, place):
    served = prepare(tls=False, login={"token": TOKEN})
    spec = place / "home/.local/share/jupyter/kernels/here"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Here", "language": "python"}))
    served.own(place / "home")
    served.start()
    browser, pid = served.browser(), served.process.pid
    kernel = json.loads(browser.request("POST", "/api/kernels", '{"name": "here"}', **HEADERS).text)["id"]
    terminal = json.loads(browser.request("POST", "/api/terminals", "{}", **HEADERS).text)["name"]

    def connections() -> int:
        return int(json.loads(browser.get(f"/api/kernels/{kernel}", **HEADERS).text)["connections"])

    async def play() -> None:
        tab = Tab(kernel, token=TOKEN)
        await tab.connect(served.port)
        cell = await tab.run(TICKS)
        shell = await Shell.open(served.port, terminal)
        crowd = leaver.Leaver(served.port, TOKEN, kernel, terminal, random.Random(20))
        recorder = int(json.loads((served.paths.state / "spool/recorder.lock").read_bytes())["pid"])
        none_held = open_files(recorder)["socket"]
        await crowd.leave(WARM_UP)
        for page in leaver.SESSIONS:  # the most that can be open: the recorder holds the shell and stdin of all of them
            visitor = Tab(kernel, token=TOKEN, session=page)
            await visitor.connect(served.port)
            await visitor.close()
        await asyncio.to_thread(eventually, lambda: connections() == 1)
        all_held = none_held + 2 * len(leaver.SESSIONS)
        await asyncio.to_thread(eventually, lambda: open_files(recorder)["socket"] == all_held, str(all_held))
        files, recorders_files = open_files(pid), open_files(recorder)
        await crowd.leave(LEFT)
        await asyncio.to_thread(eventually, lambda: connections() == 1)
        await asyncio.to_thread(nothing_more, pid, files)
        await asyncio.to_thread(nothing_more, recorder, recorders_files)
        marks = {each.session for each in cursors.read(served.paths.state / f"spool/{kernel}/marks")}
        assert marks <= {tab.session, *leaver.SESSIONS}
        seen = len(tab.text(cell).split())
        await tab.until(lambda: len(tab.text(cell).split()) > seen + 10)
        found = tab.text(cell).split()
        assert found == [str(n) for n in range(len(found))], "the page that stayed has all, once"
        await tab.close()
        await asyncio.to_thread(eventually, lambda: connections() == 0)
        await tab.until(lambda: "tick-200." in shell.shown)
        assert all(f"tick-{n}." in shell.shown for n in range(200)), "the terminal that stayed has all"
        await shell.close()

    try:
        asyncio.run(play())
    finally:
        browser.request("DELETE", f"/api/kernels/{kernel}", **HEADERS)
    said = [line for line in served.output().splitlines() if not line.strip() or "Traceback" in line or "Error" in line]
    assert not said, "\n".join(said[:20])
