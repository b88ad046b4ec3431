"""The recorder's process over damaged files, a full and a read-only disk: it never ends, and it records when it can."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import damage
from support.lone_kernel import LoneKernel
from support.waiting import GUARD_S, eventually

from jupyterd.protocol import recorder_channel, spool
from jupyterd.protocol.recorder_channel import Hello, NotKept, ReportNotKept

BEFORE = (sys.executable, "-I", "-m", "jupyterd.recorder")


@contextlib.contextmanager
def recorder(kernel: LoneKernel, *around: str) -> Iterator[subprocess.Popen[str]]:
    """The process; its standard error goes to the file "said" beside the directories."""
    said = kernel.paths.sockets.parent / "said"
    with said.open("a") as file:
        process = subprocess.Popen([*around, *BEFORE, kernel.paths.encode()], stderr=file, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def said(kernel: LoneKernel) -> str:
    return (kernel.paths.sockets.parent / "said").read_text()


def can_record(kernel: LoneKernel, process: subprocess.Popen[str], number: int) -> None:
    """It has the next message, in the same process, and can be called."""
    eventually(lambda: (kernel.say(number), number in kernel.recorded())[1], f"message {number} recorded")
    with socket.socket(socket.AF_UNIX) as server:
        eventually(lambda: server.connect_ex(str(kernel.paths.sockets / spool.SOCKET)) == 0, "a recorder that listens")
        server.sendall(recorder_channel.encode(Hello(sys.executable, (1 << 20) + number)))
        bound = kernel.paths.spool / spool.BOUND
        eventually(lambda: bound.is_file() and int(bound.read_bytes()) == (1 << 20) + number, "it has heard the server")
    assert process.poll() is None
    assert "Traceback" not in said(kernel)


FILES: dict[str, Callable[[LoneKernel], Path]] = {
    "the lock": lambda kernel: kernel.paths.spool / spool.LOCK,
    "the bound": lambda kernel: kernel.paths.spool / spool.BOUND,
    "the spool of all": lambda kernel: kernel.paths.spool,
    "the spool of one": lambda kernel: kernel.spool,
    "a file of the spool": lambda kernel: kernel.spool / spool.file_name(0),
    "the marks": lambda kernel: kernel.spool / spool.MARKS,
    "the socket": lambda kernel: kernel.paths.sockets / spool.SOCKET,
}
OTHERS = dict(damage.others())
SPOILED = OTHERS.keys() - {"a link to a file", "a link to itself", "a huge file", "removed"}


def test_it_begins_over_everything_that_may_be_in_the_place_of_its_files(kernel: LoneKernel) -> None:
    number = 0
    for spoil in sorted(SPOILED):
        for path in (
            each(kernel) for name, each in FILES.items() if name not in {"the spool of all", "the spool of one"}
        ):
            damage.remove(path)
            OTHERS[spoil](path)
        with recorder(kernel) as process:
            can_record(kernel, process, number := number + 1)
    for name in ("the spool of one", "the spool of all"):
        path = FILES[name](kernel)
        for spoil in OTHERS.keys() & {"a FIFO", "a link to nothing", "another account's"}:
            shutil.rmtree(path)
            OTHERS[spoil](path)
            with recorder(kernel) as process:
                can_record(kernel, process, number := number + 1)
    assert set(re.findall(r"set aside as (\S+)\.damaged", said(kernel))) >= {
        "recorder.lock",
        "max_bytes",
        "spool",
        "one",
    }


def test_it_goes_on_when_its_files_are_removed_or_replaced(kernel: LoneKernel) -> None:
    with recorder(kernel) as process:
        can_record(kernel, process, 1)
        for number, name in enumerate(FILES, start=2):
            damage.remove(FILES[name](kernel))
            can_record(kernel, process, number)
        away = kernel.paths.sockets.with_name("away")
        kernel.paths.sockets.rename(away)
        kernel.paths.sockets.mkdir(mode=0o700)
        for each in [*away.glob("one-*"), *away.glob("*.json")]:
            each.rename(kernel.paths.sockets / each.name)
        can_record(kernel, process, 100)


def test_two_recorders_never_work_in_one_directory(kernel: LoneKernel) -> None:
    """Also where somebody has removed the lock of the first, and a second has taken it."""
    with recorder(kernel) as first:
        can_record(kernel, first, 1)
        first.send_signal(signal.SIGSTOP)
        (kernel.paths.spool / spool.LOCK).unlink()
        with recorder(kernel) as second:
            eventually(lambda: kernel.pid() == second.pid, "the second one has the lock")
            first.send_signal(signal.SIGCONT)
            assert first.wait(60) == 0
            can_record(kernel, second, 2)


def test_a_connection_file_that_is_damaged_costs_its_own_kernel(kernel: LoneKernel) -> None:
    other = kernel.paths.sockets / "kernel-other.json"
    with recorder(kernel) as process:
        for number, (_, data) in enumerate(damage.contents(b'{"transport": "ipc"}', 8), start=1):
            other.write_bytes(data)
            if number % 40 == 1:
                can_record(kernel, process, number)
        for number, spoil in enumerate(SPOILED, start=1000):
            damage.remove(other)
            OTHERS[spoil](other)
            can_record(kernel, process, number)
        good = (kernel.paths.sockets / "kernel-one.json").read_text()
        for number, value in enumerate(
            ('"transport": "x"', '"ip": "\\u0000"', '"ip": "' + "x" * 200 + '"'), start=2000
        ):
            damage.remove(other)
            other.write_text(re.sub(rf"{value.partition(':')[0]}: [^,}}]*", lambda _, value=value: value, good))
            can_record(kernel, process, number)
        damage.remove(other)
        other.write_text(good)
        eventually((kernel.paths.spool / "other").is_dir, "the other one is recorded, when it can be")
    assert said(kernel).count("is not recorded") < 20


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_a_full_and_a_read_only_disk_are_waited_out(kernel: LoneKernel) -> None:
    """A tmpfs of its own over the spool: read-only when the recorder begins, then writable, full, and writable."""
    place = kernel.paths.spool
    mounted = f"mount -t tmpfs -o ro,size=8m none {place}"
    with recorder(kernel, "unshare", "--mount", "sh", "-c", f'{mounted}; exec "$@"', "sh") as process:
        seen = Path(f"/proc/{process.pid}/root{place}")

        def at(command: str) -> None:
            subprocess.run(["nsenter", "-t", str(process.pid), "-m", "sh", "-c", command], check=True)

        def recorded() -> list[int]:
            files = spool.files(seen / "one")
            return [each.number for path in files for each in spool.records(path.read_bytes())]

        def grows() -> bool:
            before = len(recorded())
            for number in range(100):
                kernel.say(number)
                if len(recorded()) > before:
                    return True
            return False

        eventually(lambda: "the disk is read-only" in said(kernel), "it says what it waits for")
        at(f"mount -o remount,rw {place}")
        eventually(grows, "it records when it may write")
        with socket.socket(socket.AF_UNIX) as server:
            server.settimeout(GUARD_S)
            server.connect(str(kernel.paths.sockets / spool.SOCKET))
            server.sendall(b"".join(map(recorder_channel.encode, (Hello(sys.executable, 1 << 20), ReportNotKept()))))
            with server.makefile("rb") as lines:
                assert recorder_channel.decode(lines.readline()) == NotKept(())
                at(f"cat /dev/zero >{place}/somebodys 2>/dev/null || true")
                eventually(lambda: (grows(), "the disk is full" in said(kernel))[1], "it says what keeps it from that")
                assert recorder_channel.decode(lines.readline()) == NotKept((("one", "the disk is full"),))
                (seen / "somebodys").unlink()
                assert recorder_channel.decode(lines.readline()) == NotKept(()), "although the kernel is silent"
        eventually(grows, "it records when there is room again")
        assert [each.name for each in (seen / "one").iterdir() if each.suffix != ".log"] == []
        assert process.poll() is None
    assert "Traceback" not in said(kernel)
    assert len(said(kernel).splitlines()) < 12
