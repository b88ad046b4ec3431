"""What a cell prints while no server listens arrives in the same tab: everything, once, in order, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from support.tab import JSON, V1, Tab
from support.waiting import eventually

from jupyterd.protocol import recorder_channel, spool

# One write for a number and its line end: as two messages, only the first of them may come twice.
COUNT = "import time\nfor n in range({}):\n    print(str(n) + '\\n', end='', flush=True)\n    time.sleep({})"


def numbers(text):
    """Without lines of ours: that something may be missing is told more often than something is."""
    return [int(word) for word in re.sub(r"\n\[jupyterd: [^]]*\]\n", "\n", text).split()]


def repeated(text, count):
    """Nothing missing, everything in order; how many are there twice."""
    found = numbers(text)
    once = list(dict.fromkeys(found))
    assert once == list(range(count)), f"missing or out of order: {found}"
    return len(found) - count


async def away(place, server, signum=signal.SIGKILL, while_s=1.0):
    """The server ends, and after a while there is another."""
    await asyncio.to_thread(server.end, signum)
    await asyncio.sleep(while_s)
    return await asyncio.to_thread(place.serve)


def recorder_pid(place):
    return int(json.loads((place.state / "spool/recorder.lock").read_bytes())["pid"])


@pytest.fixture
def tell(place):
    """Play a story that gets a server, a kernel, and a function that opens tabs on it."""

    def play(story, *options, protocol=V1):
        async def played():
            server = place.serve(*options)
            _, kernel = server.new_session()
            tabs = []

            async def opened(protocol=protocol):
                tabs.append(Tab(kernel, protocol))
                await tabs[-1].connect(server.port)
                return tabs[-1]

            try:
                await story(server, kernel, opened)
            finally:
                for each in tabs:
                    await each.close()

        asyncio.run(played())

    return play


slow = pytest.mark.slow
over_both = pytest.mark.parametrize("protocol", [V1, pytest.param(JSON, marks=slow)], ids=["v1", "json"])
"""What takes long has a tab of each protocol in one story instead."""


@pytest.mark.parametrize(
    ("signum", "protocol"),
    [
        (signal.SIGKILL, V1),
        pytest.param(signal.SIGTERM, V1, marks=slow),
        pytest.param(signal.SIGKILL, JSON, marks=slow),
    ],
)
def test_a_counting_cell_arrives_whole(place, tell, signum, protocol):
    async def story(server, _kernel, opened):
        tab = await opened(protocol)
        cell = await tab.run(COUNT.format(60, 0.05))
        await tab.until(lambda: "5\n" in tab.text(cell))
        second = await away(place, server, signum)
        await tab.lost()
        await tab.connect(second.port)
        await tab.until(lambda: tab.done(cell))
        assert repeated(tab.shown(cell), 60) == 0
        assert signum == signal.SIGKILL or repeated(tab.text(cell), 60) == 0
        (reply,) = tab.of(cell, "execute_reply")
        assert reply["content"]["status"] == "ok" and reply["content"]["execution_count"] == 1

    tell(story)


@over_both
@slow
def test_a_cell_that_ended_meanwhile_in_an_error_says_so_and_the_next_is_skipped(place, tell, protocol):
    async def story(server, _kernel, opened):
        tab = await opened()
        cell = await tab.run(COUNT.format(8, 0.1) + "\n1 / 0")
        behind = await tab.run("print('never')")
        await tab.until(lambda: "0\n" in tab.text(cell))
        second = await away(place, server, while_s=2)
        await tab.lost()
        await tab.connect(second.port)
        await tab.until(lambda: tab.done(cell) and tab.done(behind))
        assert repeated(tab.shown(cell), 8) == 0
        (reply,) = tab.of(cell, "execute_reply")
        assert (reply["content"]["status"], reply["content"]["ename"]) == ("error", "ZeroDivisionError")
        assert tab.of(behind, "execute_reply")[0]["content"]["status"] == "aborted"

    tell(story, protocol=protocol)


def test_two_tabs_on_one_notebook_each_get_everything_and_their_own_replies(place, tell):
    async def story(server, _kernel, opened):
        tab, other = await opened(V1), await opened(JSON)
        cell = await tab.run(COUNT.format(10, 0.1))
        others = await other.run(COUNT.format(10, 0.1))
        await tab.until(lambda: "0\n" in tab.text(cell))
        await other.close()  # this one is away for longer
        second = await away(place, server, while_s=2.5)
        for each in (tab, other):
            await each.lost()
            await each.connect(second.port)
        await tab.until(lambda: tab.done(cell))
        await other.until(lambda: other.done(others))
        for each in (tab, other):  # the kernel may have run either cell first
            await each.until(lambda each=each: "9\n" in each.text(cell) and "9\n" in each.text(others))
            assert repeated(each.shown(cell), 10) == 0
            assert repeated(each.shown(others), 10) == 0
        assert not other.of(cell, "execute_reply")
        assert not tab.of(others, "execute_reply")

    tell(story)


@over_both
@slow
def test_a_tab_that_was_away_while_the_server_stayed_misses_nothing(place, tell, protocol):
    async def story(server, kernel, opened):
        def replied():
            found = (path.read_bytes() for path in spool.files(place.state / "spool" / kernel))
            return any(each.kind == spool.SHELL for data in found for each in spool.records(data))

        tab = await opened()
        cell = await tab.run(COUNT.format(20, 0.15))
        await tab.until(lambda: "3\n" in tab.text(cell))
        await tab.close()
        await asyncio.to_thread(eventually, replied)
        await tab.connect(server.port)
        await tab.until(lambda: tab.done(cell))
        assert repeated(tab.shown(cell), 20) == 0
        (reply,) = tab.of(cell, "execute_reply")
        assert "jupyterd" not in reply["metadata"], "the kernel's own"
        again = await tab.run("print('again')")
        await tab.until(lambda: tab.done(again))
        assert tab.text(again) == "again\n"

    tell(story, protocol=protocol)


@over_both
@pytest.mark.parametrize("by_death", [True, pytest.param(False, marks=slow)])
def test_a_question_asked_meanwhile_is_asked_in_the_tab(place, tell, by_death, protocol):
    async def story(server, _kernel, opened):
        tab = await opened()
        cell = await tab.run("import time; time.sleep(1)\nprint('told', input('who? '))", stdin=True)
        await tab.until(lambda: tab.of(cell, "execute_input"))
        if by_death:
            server = await away(place, server, while_s=1.5)
            await tab.lost()
        else:
            await tab.close()
            await asyncio.sleep(1.5)
        await tab.connect(server.port)
        (question,) = await tab.until(lambda: tab.of(cell, "input_request"))
        assert question["content"]["prompt"] == "who? "
        await tab.say("input_reply", {"value": "me"}, "stdin")
        await tab.until(lambda: tab.done(cell))
        assert tab.text(cell) == "told me\n"

    tell(story, protocol=protocol)


RICH = """
import time, base64
from IPython.display import display, clear_output, HTML
from comm import create_comm
time.sleep(0.5)
shown = display(HTML('<b>0</b>'), display_id='bar')
comm = create_comm(target_name='jupyter.widget', data={'state': {'value': 0}}, buffers=[b'\\x00\\xff' * 9])
for n in range(1, 6):
    shown.update(HTML(f'<b>{n}</b>'))
    comm.send({'method': 'update', 'state': {'value': n}}, buffers=[bytes([n]) * 7])
    time.sleep(0.1)
print('gone'); clear_output(wait=True); print('seen')
{'text/plain': 1}
"""


@over_both
@slow
def test_rich_outputs_and_widget_messages_come_in_their_order(place, tell, protocol):
    async def story(server, _kernel, opened):
        tab = await opened()
        cell = await tab.run(RICH)
        await tab.until(lambda: tab.of(cell, "execute_input"))
        second = await away(place, server, while_s=1)
        await tab.lost()
        await tab.connect(second.port)
        await tab.until(lambda: tab.done(cell))
        kinds = [
            message["header"]["msg_type"] for _, message in tab.got if message["parent_header"].get("msg_id") == cell
        ]
        assert kinds.count("display_data") == 1 and kinds.count("execute_result") == 1
        updates = [each["content"]["data"]["text/html"] for each in tab.of(cell, "update_display_data")]
        assert updates == [f"<b>{n}</b>" for n in range(1, 6)]
        states = [(each["content"]["data"]["state"]["value"], each["buffers"]) for each in tab.of(cell, "comm_msg")]
        assert states == [(n, [bytes([n]) * 7]) for n in range(1, 6)]
        assert tab.of(cell, "comm_open")[0]["buffers"] == [b"\x00\xff" * 9]
        assert kinds.index("clear_output") > len(kinds) - 8
        assert tab.text(cell).endswith("seen\n")

    tell(story, protocol=protocol)


@pytest.mark.parametrize("protocol", [pytest.param(V1, marks=slow), JSON])
def test_output_over_the_rate_limit_arrives_whole_and_once(tell, protocol):
    async def story(_server, _kernel, opened):
        tab = await opened(protocol)
        cell = await tab.run("for n in range(600): print(n, flush=True)")
        await tab.until(lambda: tab.done(cell))
        await tab.until(lambda: numbers(tab.text(cell))[-1:] == [599])
        assert numbers(tab.text(cell)) == list(range(600))

    tell(story, "ZMQChannelsWebsocketConnection.iopub_msg_rate_limit=30")


def test_what_a_kernel_dropped_for_a_server_that_stood_still_arrives_whole_and_once(place, tell):
    """libzmq drops what is more than 1000 messages ahead of a subscriber, and nobody is told."""

    go, ended = place.state / "home" / "go", place.state / "home" / "ended"
    code = f"""
import pathlib
print("ready", flush=True)
while not pathlib.Path({str(go)!r}).exists(): pass
for n in range(5000): print(n, flush=True)
pathlib.Path({str(ended)!r}).touch()
"""

    async def story(server, _kernel, opened):
        tab, other = await opened(V1), await opened(JSON)
        cell = await tab.run(code)
        for each in (tab, other):
            await each.until(lambda each=each: "ready" in each.text(cell))
        server.process.send_signal(signal.SIGSTOP)
        go.touch()
        try:
            await asyncio.to_thread(eventually, ended.exists)
        finally:
            server.process.send_signal(signal.SIGCONT)
        for each in (tab, other):
            await each.until(lambda each=each: each.text(cell).endswith("4999\n"))
            assert each.text(cell).split() == ["ready", *map(str, range(5000))]
        await tab.until(lambda: tab.done(cell))

    tell(story)


def test_jupyter_hears_the_pongs_too_and_leaves_the_websocket_open(tell):
    """Jupyter closes a websocket after 90 s without one."""

    async def story(_server, _kernel, opened):
        tabs = [await opened(V1), await opened(JSON)]
        for each in tabs:
            first = each.connection
            await each.until(lambda each=each: each.pings.count(b"") > 10)
            assert each.connection is first and first.close_code is None

    tell(story, 'ServerApp.tornado_settings={"ws_ping_interval": 100, "ws_ping_timeout": 300}')


@slow
def test_fifty_megabytes_arrive_whole(place, tell):
    async def story(server, _kernel, opened):
        tab, other = await opened(V1), await opened(JSON)
        cell = await tab.run("import time; time.sleep(1)\nfor n in range(500_000): print(f'{n:0100d}')")
        for each in (tab, other):
            await each.until(lambda each=each: each.of(cell, "execute_input"))
        second = await away(place, server, while_s=1)
        for each in (tab, other):
            await each.lost()
            await each.connect(second.port)
        begin = time.monotonic()
        await tab.until(lambda: tab.done(cell), 120)
        print(f"50 MB replayed in {time.monotonic() - begin:.1f} s; recorder {rss_mb(recorder_pid(place)):.1f} MB")  # noqa: T201 - a measurement
        await other.until(lambda: other.of(cell, "status")[-1]["content"]["execution_state"] == "idle", 120)
        for each in (tab, other):
            assert numbers(each.text(cell)) == list(range(500_000))

    tell(story)


def rss_mb(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@slow
def test_beyond_the_bound_the_middle_is_dropped_and_told(place, tell):
    options = ("KernelManager.spool_max_bytes=1048576",)

    async def story(server, kernel, opened):
        tab = await opened()
        ended = place.state / "home" / "ended"
        # A kernel drops output for a recorder that is 1000 messages behind, so the cell waits until it has caught up.
        code = f"""
import pathlib, time
def recorded(line):
    newest = sorted(pathlib.Path({str(place.state / "spool" / kernel)!r}).glob("*.log"))[-2:]
    return any(line in path.read_bytes() for path in newest)
time.sleep(0.7)
for n in range(2000):
    line = f"{{n:03000d}}"
    print(line, flush=True)
    while n % 250 == 249 and not recorded(line.encode()):
        time.sleep(0.01)
pathlib.Path({str(ended)!r}).touch()
"""
        cell = await tab.run(code)
        await tab.until(lambda: tab.of(cell, "execute_input"))
        await asyncio.to_thread(server.end, signal.SIGKILL)
        await tab.until(ended.exists)
        second = await asyncio.to_thread(place.serve, *options)
        await tab.lost()
        await tab.connect(second.port)
        await tab.until(lambda: tab.done(cell))
        text = [message["content"]["text"] for message in tab.of(cell, "stream")]
        told = [each for each in text if each.startswith("\n[jupyterd")]
        # A line and its end may come as two messages.
        found = [int(word) for word in "".join("\n" if each in told else each for each in text).split()]
        assert found[:100] == list(range(100)) and found[-100:] == list(range(1900, 2000))
        assert found == sorted(set(found)) and len(told) == 1
        assert "messages of output" in told[0] and "kernels.spool_max_bytes" in told[0]
        spooled = sum(each.stat().st_size for each in (place.state / "spool" / kernel).iterdir())
        assert spooled < 1_200_000

    tell(story, *options)


@slow
def test_the_recorder_comes_back_and_ends_with_the_kernels(place, tell):
    async def story(server, kernel, opened):
        tab, other = await opened(V1), await opened(JSON)
        cell = await tab.run(COUNT.format(60, 0.05))
        await tab.until(lambda: "3\n" in tab.text(cell))
        first = recorder_pid(place)
        os.kill(first, signal.SIGKILL)
        await asyncio.to_thread(eventually, lambda: recorder_pid(place) != first)
        await asyncio.sleep(0.5)
        second = await away(place, server, while_s=0.5)
        for each in (tab, other):
            await each.lost()
            await each.connect(second.port)
            await each.until(lambda each=each: "59\n" in each.text(cell))
            assert repeated(each.shown(cell), 60) == 0
        await tab.until(lambda: tab.done(cell))
        assert (place.state / "spool" / kernel).stat().st_mode & 0o077 == 0
        await asyncio.to_thread(second.end)

    tell(story)
    pid = recorder_pid(place)
    done = place.run([sys.executable, "-I", "-m", "jupyterd", "kernels", "stop", "--all", "--state", str(place.state)])
    assert done.returncode == 0, done.stderr
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert not list((place.state / "spool").glob("*/"))


@slow
def test_another_version_takes_over_when_no_cell_runs(place, tell):
    heir, became = place.state / "python", place.state / "home" / "became"
    heir.write_text(f'#!/bin/sh\ntouch {became}\nexec {sys.executable} "$@"\n')
    heir.chmod(0o755)

    async def story(server, _kernel, opened):
        tab = await opened()
        cell = await tab.run(COUNT.format(40, 0.1))
        await tab.until(lambda: "1\n" in tab.text(cell))
        pid = recorder_pid(place)
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(place.state / "k" / spool.SOCKET))
            other.sendall(
                b'{"OfALaterVersion": {}}\n' + recorder_channel.encode(recorder_channel.Hello(str(heir), 1 << 26))
            )
            await tab.until(lambda: "20\n" in tab.text(cell))
            if not tab.done(cell):
                assert not became.exists(), "output would have been lost meanwhile"
            await tab.until(lambda: tab.done(cell))
            await tab.until(became.exists)
        assert recorder_pid(place) == pid
        await asyncio.to_thread(eventually, lambda: can_be_called(place))
        cell = await tab.run(COUNT.format(20, 0.1))
        await tab.until(lambda: "0\n" in tab.text(cell))
        second = await away(place, server)
        await tab.lost()
        await tab.connect(second.port)
        await tab.until(lambda: tab.done(cell))
        assert repeated(tab.shown(cell), 20) == 0
        assert "[jupyterd" not in tab.text(cell)

    tell(story)


def can_be_called(place):
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(place.state / "k" / spool.SOCKET))
    return True


@slow
def test_twenty_random_kills_lose_no_number(place, tell):
    async def story(server, _kernel, opened):
        tab, other = await opened(V1), await opened(JSON)
        cell = await tab.run(COUNT.format(2000, 0.02))
        dice = random.Random(7)
        for _ in range(20):
            await asyncio.sleep(dice.uniform(0.2, 0.8))
            if dice.random() < 0.3:
                first = recorder_pid(place)
                os.kill(first, signal.SIGKILL)
                # Nobody at all listens while both are gone: what is said then, no one can know.
                await asyncio.to_thread(eventually, lambda first=first: recorder_pid(place) != first)
                await asyncio.sleep(0.3)
                continue
            server = await away(place, server, while_s=0)
            for each in (tab, other):
                await each.lost()
                await each.connect(server.port)
        await tab.until(lambda: tab.done(cell), 60)
        await other.until(lambda: "1999\n" in other.text(cell))
        twice = [repeated(each.text(cell), 2000) for each in (tab, other)]
        print(f"20 kills during 2000 numbers: {twice} came twice")  # noqa: T201 - a measurement
        assert len(tab.of(cell, "execute_reply")) == 1

    tell(story)
