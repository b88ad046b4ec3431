"""What is taken from those who start the supervisor, and that nothing of it stays."""

from __future__ import annotations

import os

import pytest

from jupyterd.supervisor.main import Arguments, arguments, seal, take


def test_arguments() -> None:
    assert arguments(["--plan-fd", "3"]) == Arguments(3, None, None)
    assert arguments(["--plan-fd", "3", "--lock-fd", "4", "--banner-fd", "5"]) == Arguments(3, 5, 4)
    for bad in (["--plan-fd"], ["--plan-fd", "3", "--other", "4"], ["--plan-fd", "x"]):
        with pytest.raises(ValueError, match=r".+"):
            arguments(bad)


def test_systemd_s_variables_are_used_and_removed() -> None:
    found = os.fstat(2)
    pid = str(os.getpid())
    environ = {
        "NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": pid, "LISTEN_FDS": "2", "LISTEN_PID": pid,
        "LISTEN_FDNAMES": "a:b", "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}", "INVOCATION_ID": "y", "HOME": "/h",
    }  # fmt: skip
    taken = take(environ)
    assert (taken.watchdog_s, taken.sockets, taken.journal) == (15.0, (3, 4), True)
    assert environ == {"HOME": "/h"}


def test_what_is_meant_for_another_process_is_not_ours() -> None:
    environ = {
        "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1", "LISTEN_FDS": "2", "LISTEN_PID": "1", "JOURNAL_STREAM": "1:1"
    }  # fmt: skip
    taken = take(environ)
    assert (taken.watchdog_s, taken.sockets, taken.journal) == (0.0, (), False)
    assert not environ
    assert take({}).journal is False


def test_seal_leaves_only_the_standard_three_to_children() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    seal()
    assert not os.get_inheritable(writing)
    assert os.get_inheritable(2)
    os.close(reading)
    os.close(writing)
