"""A real server under the real supervisor over damaged files and a full disk: it is back by itself, and says what was
damaged.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import damage
from support.served import UID, Served
from support.waiting import eventually

from jupyterd.settings.paths import Paths

OTHERS = dict(damage.others())
NESTED = damage.CONTENTS["nested objects"]


@contextlib.contextmanager
def account(*, tmpfs: str = "") -> Iterator[Path]:
    """A home. `tmpfs`: size of a disk of its own for the state."""
    home = Path(tempfile.mkdtemp(prefix="jupyterd-damage-"))
    state = paths(home).state
    try:
        state.mkdir(parents=True)
        if tmpfs:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={tmpfs}", "none", str(state)], check=True)
        state.chmod(0o700)
        if os.geteuid() == 0:
            for each in (home, *(home / part for part in (".local", ".local/state")), state):
                os.chown(each, UID, UID)
        yield home
    finally:
        if tmpfs:
            subprocess.run(["umount", "-l", str(state)], check=True)
        shutil.rmtree(home, ignore_errors=True)


def paths(home: Path) -> Paths:
    state = home / ".local/state/jupyterd"
    return Paths("foreground", state, state / "run")


@contextlib.contextmanager
def running(home: Path) -> Iterator[Served]:
    server = Served(home, "--kernels-environment", sys.prefix)
    try:
        yield server
    finally:
        server.stop()


def serving(server: Served, not_pid: int = 0) -> dict[str, Any]:
    """Its status, once it serves with another server process."""

    def found() -> dict[str, Any] | None:
        assert server.process.poll() is None, server.said
        status = server.status()
        process = status["server"]
        return status if status["state"] == "serving" and process and process["pid"] != not_pid else None

    return eventually(found, "a server that serves", 90)


def spoiled(where: Paths) -> dict[Path, Callable[[Path], None]]:
    """File -> what happens to it."""

    def nested(path: Path) -> None:
        path.write_bytes(NESTED)
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, UID, UID)

    return {
        where.live: nested, where.traits: OTHERS["removed"], where.login: OTHERS["a FIFO"],
        where.sessions: nested, where.state / "cookie_secret": OTHERS["a directory"],
        where.kernel_records / "server.lock": OTHERS["a link to nothing"], where.kernel_records / "a.json": nested,
        where.kernel_records / "b.json": OTHERS["a FIFO"], where.terminal_records / "a.json": nested,
        where.spool: OTHERS["a link to nothing"], where.kernel_records / "ended": nested,
    }  # fmt: skip


def test_a_server_is_back_over_damaged_files_and_names_them() -> None:
    with account() as home, running(home) as server:
        where = paths(home)
        pid = serving(server)["server"]["pid"]
        for path, spoil in spoiled(where).items():
            damage.remove(path)
            spoil(path)
        os.kill(pid, signal.SIGKILL)
        status = serving(server, pid)
        assert status["restarts"] <= 3, status["recent"]
        status = eventually(
            lambda: (
                (found := server.status()) and any(each["code"] == "set-aside" for each in found["items"]) and found
            ),
            "a health item",
        )
        (item,) = [each for each in status["items"] if each["code"] == "set-aside"]
        assert ".damaged" in item["text"] and "rm -r" in item["advice"]
        left = {each.name for each in where.state.rglob("*.damaged*")}
        assert left >= {"cookie_secret.damaged", "server.lock.damaged", "a.json.damaged"}
        assert server.verb("token").returncode == 0
        assert (where.state / "login.json.damaged").is_fifo()
        for each in where.state.rglob("*.damaged*"):
            damage.remove(each)
        assert server.verb("reload").returncode == 0
        eventually(lambda: not any(each["code"] == "set-aside" for each in server.status()["items"]), "it is over")
        assert "Traceback" not in server.said


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_a_full_disk_keeps_no_server_away_and_is_waited_out_where_nothing_is_there_yet() -> None:
    with account(tmpfs="8m") as home:
        state = paths(home).state
        filler = state / "somebodys"
        fill = ["sh", "-c", f"cat /dev/zero >{filler} 2>/dev/null || true"]
        (state / "tls").mkdir(mode=0o700)
        os.chown(state / "tls", UID, UID)
        subprocess.run(fill, check=True)
        with running(home) as server:
            eventually(lambda: "the disk is full" in server.said, "it says what it waits for", 90)
            assert server.process.poll() is None
            filler.unlink()
            pid = serving(server)["server"]["pid"]
            subprocess.run(fill, check=True)
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: "200" in server_answers(server), "it serves from a full disk", 90)
            filler.unlink()
        subprocess.run(fill, check=True)
        with running(home) as server:
            eventually(lambda: "200" in server_answers(server), "it starts on a full disk", 90)
            assert "Traceback" not in server.said
            filler.unlink()


def server_answers(server: Served) -> str:
    done = subprocess.run(
        ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", f"https://localhost:{server.port}/api"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert server.process.poll() is None, server.said
    return done.stdout
