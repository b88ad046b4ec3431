"""Pure answers: causes of death, stop or restart, environments."""

from __future__ import annotations

import pytest

from jupyterd.launch import deaths, launcher, shell_environment, user_manager, user_unit
from jupyterd.launch.deaths import ExitStatus
from jupyterd.launch.user_environment import user_environment


@pytest.mark.parametrize(
    ("ending", "oom", "why", "expected"),
    [
        (ExitStatus(signal="SIGKILL"), False, "stopped by me", "stopped by me"),
        (ExitStatus(signal="SIGKILL", result="oom-kill"), False, "", "out of memory"),
        (ExitStatus(signal="SIGKILL"), True, "", "out of memory"),
        (ExitStatus(signal="SIGKILL"), False, "", "killed (SIGKILL)"),
        (ExitStatus(signal="SIGKILL"), None, "", "for lack of memory or by a user"),
        (ExitStatus(signal="SIGKILL", result="signal"), None, "", "killed (SIGKILL), by a person"),
        (ExitStatus(signal="SIGTERM"), True, "", "ended by a signal (SIGTERM)"),
        (ExitStatus(signal="SIGSEGV"), False, "", "crashed (SIGSEGV)"),
        (ExitStatus(code=0), True, "", "exit code 0"),
        (ExitStatus(code=3), False, "", "exit code 3"),
        (ExitStatus(code=127), False, "", "could not be started"),
        (ExitStatus(), False, "", "not observed"),
    ],
)
def test_why_it_ended(ending, oom, why, expected):
    assert expected in deaths.cause(ending, oom=oom, why=why)


def test_the_last_line_of_one_that_ended_at_its_start():
    cause = deaths.cause(ExitStatus(code=1), oom=False)
    assert deaths.cause_at_start(cause, []) == "it ended by itself with exit code 1, at its start"
    assert deaths.cause_at_start(cause, ["Traceback", "No module named x"]) == (
        "it ended by itself with exit code 1, at its start: No module named x"
    )


@pytest.mark.parametrize(
    ("shown", "lingers", "how"),
    [
        ({}, True, "has ended"),
        ({"ActiveState": "active", "Result": "success", "ExecMainStatus": "0"}, True, "has ended"),
        ({"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}, True, "was stopped"),
        ({"ActiveState": "deactivating", "Result": "success", "ExecMainStatus": "0"}, True, "was stopped"),
        (
            {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"},
            False,
            "was stopped (lingering is off: it ends with the last login of alice)",
        ),
        (
            {"ActiveState": "failed", "Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "9"},
            True,
            "was killed (SIGKILL)",
        ),
        (
            {"ActiveState": "deactivating", "Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "9"},
            False,
            "was killed (SIGKILL)",
        ),
        (
            {"ActiveState": "failed", "Result": "core-dump", "ExecMainCode": "3", "ExecMainStatus": "99"},
            True,
            "was killed (signal 99)",
        ),
        ({"ActiveState": "failed", "Result": "oom-kill"}, True, "was killed for lack of memory"),
        (
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainCode": "1", "ExecMainStatus": "1"},
            True,
            "has failed (exit-code)",
        ),
    ],
)
def test_how_a_user_manager_ended(shown, lingers, how):
    assert user_manager.how("alice", shown, lingers=lingers) == f"the user manager of alice {how}"


@pytest.mark.parametrize(
    ("result", "code", "status", "expected"),
    [
        ("oom-kill", "2", "9", "out of memory"),
        ("oom-kill", "1", "1", "out of memory"),  # a worker was killed, and its kernel gave up
        ("signal", "2", "9", "killed (SIGKILL), by a person"),
        ("core-dump", "3", "11", "crashed (SIGSEGV)"),
        ("exit-code", "1", "3", "it ended by itself with exit code 3"),
        ("success", "1", "0", "it ended by itself (exit code 0)"),
        ("", "", "", "its end was not observed"),
    ],
)
def test_what_systemd_says_of_a_unit_as_a_cause(result, code, status, expected):
    shown = {"LoadState": "loaded", "Result": result, "ExecMainCode": code, "ExecMainStatus": status}
    assert deaths.cause(user_unit.exit_status(shown), oom=False).startswith(expected)
    assert user_unit.exit_status({"LoadState": "not-found"}) == ExitStatus(code=0), "it forgets those that ended well"


def test_a_user_loses_nothing_but_what_is_the_servers():
    given = {
        "PATH": "/srv/venv/bin:/home/a/bin:/usr/bin", "VIRTUAL_ENV": "/srv/venv", "HOME": "/home/a",
        "CUDA_HOME": "/cuda", "JUPYTER_TOKEN": "x", "JUPYTERD_CHANNEL_FD": "3", "JPY_PARENT_PID": "1",
        "NOTIFY_SOCKET": "/n", "LISTEN_FDS": "1",
        "WATCHDOG_USEC": "1", "CREDENTIALS_DIRECTORY": "/c", "INVOCATION_ID": "i", "JOURNAL_STREAM": "1:2",
        "MEMORY_PRESSURE_WATCH": "/m", "STATE_DIRECTORY": "/s", "PYTHONHOME": "/p", "PYTHONPATH": "/mine",
    }  # fmt: skip
    assert user_environment(given, server_prefix="/srv/venv") == {
        "PATH": "/home/a/bin:/usr/bin", "HOME": "/home/a", "CUDA_HOME": "/cuda", "PYTHONPATH": "/mine",
    }  # fmt: skip


def test_a_virtual_environment_of_the_users_own_stays():
    given = {"PATH": "/mine/bin:/usr/bin", "VIRTUAL_ENV": "/mine"}
    assert user_environment(given, server_prefix="/srv/venv") == given


def test_an_empty_path_becomes_the_systems():
    assert user_environment({"PATH": "/srv/venv/bin"}, server_prefix="/srv/venv")["PATH"] == "/bin:/usr/bin"


def test_pip_means_the_kernels_environment(tmp_path):
    (tmp_path / "pyvenv.cfg").touch()
    given = {"PATH": "/usr/bin:/other/bin", "VIRTUAL_ENV": "/other"}
    made = shell_environment.activated(given, str(tmp_path))
    assert made == {"PATH": f"{tmp_path}/bin:/usr/bin", "VIRTUAL_ENV": str(tmp_path)}
    assert shell_environment.activated({"PATH": "/usr/bin"}, "/usr") == {"PATH": "/usr/bin"}


def test_names_are_short_and_predictable():
    assert launcher.socket_stem("01234567-89ab-cdef-0123-456789abcdef") == "0123456789ab"
