"""Why a kernel died is told under the cell that it was at: to the tab that watches, and to one that comes later."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

from edge.kernels.test_recorder import away, numbers, recorder_pid
from support.tab import JSON, V1, Tab
from support.waiting import eventually

FOR_EVER = "import time\nprint('began', flush=True)\ntime.sleep(600)"


def restarts(tab):
    return [
        number for number, (_, each) in enumerate(tab.got) if each["content"].get("execution_state") == "restarting"
    ]


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def opened(server, kernel, protocol=V1):
    tab = Tab(kernel, protocol)
    await tab.connect(server.port)
    return tab


async def until_told(tab, cell, words):
    await tab.until(lambda: tab.done(cell))
    assert tab.text(cell).count("[jupyterd: ") == 1
    assert f"[jupyterd: the kernel died here: {words}" in tab.text(cell)
    assert "without its variables]" in tab.text(cell)
    (reply,) = tab.of(cell, "execute_reply")
    assert (reply["content"]["status"], reply["content"]["execution_count"]) == ("error", 1)


def test_every_tab_is_told_under_the_cell_that_ran(place):
    async def story():
        server = await asyncio.to_thread(place.serve)
        _, kernel = server.new_session()
        tab, absent = await opened(server, kernel), await opened(server, kernel, JSON)
        cell = await tab.run(FOR_EVER)
        for each in (tab, absent):
            await each.until(lambda each=each: "began" in each.text(cell))
        await absent.close()
        pid = place.pid(kernel)
        os.kill(pid, signal.SIGKILL)
        await until_told(tab, cell, "killed (SIGKILL), by a person")
        await tab.until(lambda: restarts(tab))
        last = max(number for number, (_, each) in enumerate(tab.got) if each["parent_header"].get("msg_id") == cell)
        assert restarts(tab)[0] > last, "a front end gives its cells up when the kernel restarts"
        await absent.connect(server.port)
        await absent.until(lambda: any("the kernel died here" in absent.text(cell) for _ in "x"))
        await absent.until(lambda: restarts(absent))
        assert not absent.of(cell, "execute_reply"), "it was the other one's cell"
        assert absent.of(cell, "status")[-1]["content"]["execution_state"] == "idle"
        await tab.until(lambda: place.pid(kernel) != pid)
        again = await tab.run("print(6 * 7)")
        await tab.until(lambda: tab.done(again))
        assert tab.text(again) == "42\n"
        for each in (tab, absent):
            await each.close()
            await each.connect(server.port)  # as a front end does after a restart
        for each in (tab, absent):  # what was to be said before this cell has been said when it is done
            cell = await each.run("print(6 * 7)")
            await each.until(lambda each=each, cell=cell: each.done(cell))
        assert (len(restarts(tab)), len(restarts(absent))) == (1, 1)
        (told,) = json.loads((place.records / "ended").read_text())
        assert told["kernel"] == kernel and told["notebook"].endswith("a.ipynb")
        assert told["cause"].startswith("killed (SIGKILL)")
        for each in (tab, absent):
            await each.close()

    asyncio.run(story())


def test_one_that_died_while_no_server_ran_is_told_and_started_again(place):
    async def story():
        first = await asyncio.to_thread(place.serve)
        session, kernel = first.new_session()
        tab = await opened(first, kernel, JSON)
        cell = await tab.run(FOR_EVER)
        await tab.until(lambda: "began" in tab.text(cell))
        await asyncio.to_thread(first.end, signal.SIGKILL)
        await tab.lost()
        pid = place.pid(kernel)
        os.kill(pid, signal.SIGSEGV)
        await asyncio.to_thread(eventually, lambda: not Path(f"/proc/{pid}").exists())
        second = await asyncio.to_thread(place.serve)
        await tab.connect(second.port)
        await until_told(tab, cell, "crashed (SIGSEGV)")
        await tab.until(lambda: place.pid(kernel) != pid)
        again = await tab.run("print(6 * 7)")
        await tab.until(lambda: tab.done(again))
        (model,) = second.get("/api/sessions")
        assert (model["id"], model["kernel"]["id"]) == (session, kernel)
        assert f"Kernel {kernel} (python3) died: crashed (SIGSEGV)" in place.log()
        await tab.close()

    asyncio.run(story())


def test_what_nobody_heard_is_told_and_the_cell_is_seen_to_end(place):
    async def story():
        server = await asyncio.to_thread(place.serve)
        _, kernel = server.new_session()
        tab = await opened(server, kernel)
        go, gone = place.state / "go", place.state / "gone"
        code = (
            f"import os, time\nprint(1, flush=True)\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)\nprint(2)"
        )
        cell = await tab.run(code + f"\nopen({str(gone)!r}, 'w')")
        await tab.until(lambda: "1\n" in tab.text(cell))
        os.chmod(place.state, 0o777)  # noqa: S103, PTH101 - for the file that the cell makes
        recorder = recorder_pid(place)
        for pid in (parent(recorder), recorder):  # the shell would start it again within a moment
            os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(server.end, signal.SIGKILL)
        go.touch()
        await tab.until(gone.exists)
        second = await away(place, server, while_s=0)
        await tab.lost()
        await tab.connect(second.port)
        await tab.until(lambda: tab.done(cell))
        assert set(numbers(tab.text(cell))) == {1}  # the browser may not have acknowledged it yet: then it comes twice
        assert "output may be missing here" in tab.text(cell)
        assert "the end of this cell was missed" in tab.text(cell)
        again = await tab.run("print(6 * 7)")
        await tab.until(lambda: tab.done(again))
        assert tab.text(again) == "42\n"
        await tab.close()

    asyncio.run(story())
