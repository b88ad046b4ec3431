"""Listening sockets, their trouble by kind, and systemd's fd store played by the test."""

from __future__ import annotations

import array
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.network import free_port

from jupyterd.core.events import Bound
from jupyterd.linux.port_owner import is_jupyterd
from jupyterd.protocol.plan import Listen
from jupyterd.supervisor.listeners import Listeners
from jupyterd.supervisor.sd_notify import Notifier

SILENT = Notifier(None, 0)


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    made = Listeners(SILENT)
    yield made
    made.bind(())


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The other end of NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(5)
        yield made


def notifier(manager: socket.socket) -> Notifier:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    connected.connect(manager.getsockname())
    return Notifier(connected, 0)


def receive(manager: socket.socket) -> tuple[bytes, list[int]]:
    data, ancillary, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(16))
    fds = array.array("i")
    for _, _, content in ancillary:
        fds.frombytes(content)
    return data, list(fds)


def test_both_wildcards_share_a_port(listeners: Listeners) -> None:
    wanted = (Listen("0.0.0.0", port := free_port()), Listen("::", port))
    assert listeners.bind(wanted) == Bound(())
    for fd, host in zip(listeners.fds(wanted), ("127.0.0.1", "::1"), strict=True):
        assert not os.get_inheritable(fd)
        assert not os.get_blocking(fd)
        with socket.create_connection((host, port), 5):
            pass


def test_wanted_ones_are_kept_and_others_closed(listeners: Listeners) -> None:
    a, b, c = (Listen("127.0.0.1", free_port()) for _ in range(3))
    listeners.bind((a, b))
    (kept,) = listeners.fds((b,))
    assert listeners.bind((c, b)) == Bound(())
    assert listeners.fds((b,)) == (kept,)
    assert len(listeners.fds((a, b, c))) == 2
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((a.host, a.port), 5)
    listeners.bind(())
    assert listeners.fds((a, b, c)) == ()


LISTENS = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"


@contextmanager
def holding_a_port(*argv: str, cwd: Path | None = None) -> Iterator[tuple[int, Listen]]:
    """Pid and address of a program that listens and prints its port, until it reads a line."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=cwd) as other:
        assert other.stdout is not None
        yield other.pid, Listen("127.0.0.1", int(other.stdout.readline()))
        other.communicate("\n")


def test_busy_names_the_holder_and_the_others_stay(listeners: Listeners) -> None:
    with holding_a_port(sys.executable, "-I", "-c", LISTENS) as (pid, busy):
        free = Listen("127.0.0.1", free_port())
        (failed,) = listeners.bind((busy, free)).failed
        comm = Path(f"/proc/{pid}/comm").read_text().strip()
    assert (failed.listen, failed.reason) == (busy, "busy")
    assert failed.detail.startswith(f"{comm} (pid {pid}, user ")
    assert len(listeners.fds((busy, free))) == 1
    assert listeners.bind((busy, free)) == Bound(())


BINDS = """
import socket, sys
held = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
if ":" in sys.argv[1]:
    held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(sys.argv[2]))
held.bind((sys.argv[1], 0)); held.listen(); print(held.getsockname()[1], flush=True); input()
"""


@pytest.mark.parametrize(
    ("theirs", "only_v6", "ours", "busy"),
    [
        ("127.0.0.1", 0, "127.0.0.1", "::1"),
        ("127.0.0.1", 0, "0.0.0.0", "::"),
        ("0.0.0.0", 0, "127.0.0.1", "::1"),
        ("::1", 1, "::1", "127.0.0.1"),
        ("::1", 1, "::", "0.0.0.0"),
        ("::", 1, "::1", "127.0.0.1"),
        ("::", 0, "0.0.0.0", None),  # it holds IPv4 too, and IPv6
        ("::ffff:127.0.0.1", 0, "127.0.0.1", "::1"),
    ],
)
def test_who_holds_one_address_is_named_and_never_ourselves_on_the_other(
    listeners: Listeners, theirs: str, only_v6: int, ours: str, busy: str | None
) -> None:
    """`ours` cannot be opened, `busy` (the other family) can, and is open first."""
    with holding_a_port(sys.executable, "-I", "-c", BINDS, theirs, str(only_v6)) as (pid, found):
        wanted = (*([Listen(busy, found.port)] if busy else []), Listen(ours, found.port))
        (failed,) = listeners.bind(wanted).failed
    assert failed.listen == wanted[-1]
    assert f"(pid {pid}, user " in failed.detail


def test_another_jupyterd_is_called_that(listeners: Listeners, tmp_path: Path) -> None:
    """A module of the name stands for ours: `-m` takes it from the working directory."""
    (tmp_path / "jupyterd").mkdir()
    (tmp_path / "jupyterd/server.py").write_text(LISTENS)
    with holding_a_port(sys.executable, "-S", "-m", "jupyterd.server", cwd=tmp_path) as (pid, busy):
        (failed,) = listeners.bind((busy,)).failed
    assert failed.detail.startswith(f"another jupyterd (pid {pid}, user ")


def test_a_program_in_a_folder_named_jupyterd_is_not_another_jupyterd(listeners: Listeners, tmp_path: Path) -> None:
    program = tmp_path / "jupyterd/jupyterd.py"
    program.parent.mkdir()
    program.write_text(LISTENS)
    with holding_a_port(sys.executable, str(program), "jupyterd.server") as (pid, busy):
        (failed,) = listeners.bind((busy,)).failed
        comm = Path(f"/proc/{pid}/comm").read_text().strip()
    assert failed.detail.startswith(f"{comm} (pid {pid}, user ")


@pytest.mark.parametrize(
    ("argv", "ours"),
    [
        ("/usr/bin/python3 -I -m jupyterd.server", True),
        ("/opt/x/bin/python -I -m jupyterd run --port 8888", True),
        (
            "/opt/x/bin/python3.13 -I -S -X utf8 -X no_debug_ranges /opt/x/jupyterd/supervisor/__main__.py --path a",
            True,
        ),
        ("/srv/jupyterd/.venv/bin/python -m http.server", False),
        ("/srv/jupyterd/.venv/bin/python /srv/jupyterd/other.py jupyterd.server", False),
        ("/srv/jupyterd/.venv/bin/python -m jupyterdish", False),
        ("python3 -X utf8", False),
        ("python3 -W -m jupyterd", False),
        ("node -m jupyterd.server", False),
        ("", False),
    ],
)
def test_whose_command_line_it_is(argv: str, ours: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_jupyterd(argv.split(" ")) is ours


def test_code_that_mentions_our_module_is_not_ours() -> None:
    assert not is_jupyterd(["python3", "-c", "import jupyterd.server", "-m", "jupyterd"])


def test_an_ordinary_account_still_learns_the_user_of_the_holder() -> None:
    if os.getuid() != 0:
        pytest.skip("needs root to become an ordinary account")
    with socket.create_server(("127.0.0.1", 0)) as held:
        code = f"from jupyterd.linux.port_owner import holder\nprint(holder('127.0.0.1', {held.getsockname()[1]}))"
        said = subprocess.run(
            ["/usr/bin/setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/python3", "-c", code],
            env={"PYTHONPATH": str(Path(__file__).parents[3])}, cwd="/", capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert said.stdout == "a process of user root\n"


def test_absent_and_denied(listeners: Listeners) -> None:
    (absent,) = listeners.bind((Listen("192.0.2.77", free_port()),)).failed
    assert (absent.reason, absent.detail) == ("absent", os.strerror(errno.EADDRNOTAVAIL))
    if os.getuid() != 0:
        pytest.skip("needs root to become an ordinary account")
    code = (
        "from jupyterd.supervisor.listeners import Listeners; from jupyterd.supervisor.sd_notify import Notifier\n"
        "from jupyterd.protocol.plan import Listen; import ctypes\n"
        "print(Listeners(Notifier(None, 0)).bind((Listen('127.0.0.1', 9),)).failed[0].reason)"
    )
    least = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip()
    said = subprocess.run(
        ["/usr/bin/setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/python3", "-c", code],
        env={"PYTHONPATH": str(Path(__file__).parents[3])}, cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    if int(least) <= 9:
        pytest.skip("every port is free for everybody on this machine")
    assert said.stdout == "denied\n", said.stderr


def test_sockets_go_to_the_store_and_come_back(manager: socket.socket) -> None:
    wanted = (Listen("127.0.0.1", free_port()), Listen("::1", free_port()))
    before, after = notifier(manager), notifier(manager)
    first = Listeners(before)
    first.bind(wanted)
    stored = []
    for listen, name in zip(wanted, ("127.0.0.1", "__1"), strict=True):
        data, (fd,) = receive(manager)
        assert data == f"FDSTORE=1\nFDNAME=listen-{name}-{listen.port}".encode()
        stored.append(fd)
    before.close()  # the supervisor is killed: its own descriptors are gone, the stored ones are not
    first.bind(())
    pipe_end, other_end = os.pipe()
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()
    again = Listeners(after, (*stored, pipe_end, datagram))
    os.close(other_end)
    for fd in (pipe_end, datagram):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    assert again.bind(wanted[1:]) == Bound(())
    assert again.fds(wanted) == (stored[1],)
    assert not os.get_inheritable(stored[1])
    assert receive(manager) == (f"FDSTOREREMOVE=1\nFDNAME=listen-127.0.0.1-{wanted[0].port}".encode(), [])
    with socket.create_connection((wanted[1].host, wanted[1].port), 5):
        pass
    again.bind(())
    assert receive(manager) == (f"FDSTOREREMOVE=1\nFDNAME=listen-__1-{wanted[1].port}".encode(), [])
    after.close()
