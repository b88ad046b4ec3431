"""Detached processes, real ones: launched, known, signalled, ended, told."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import time
from pathlib import Path

import pytest
from support.waiting import eventually

from jupyterd.launch import kernel_log, launcher, registry, stop
from jupyterd.launch.deaths import ExitStatus
from jupyterd.launch.registry import Entry
from jupyterd.linux import proc


@pytest.fixture
def launch(tmp_path):
    made = []

    def start(script, env=None, cwd="/"):
        argv = ("/bin/sh", "-c", script, "$HOME `x`")
        file = tmp_path / "connection.json"
        file.write_text("{}")
        order = Entry(f"k{len(made)}", "sh", argv, cwd, str(file), "signal", None, time.time())
        made.append(launcher.launch(tmp_path, order, env or {"PATH": "/usr/bin:/bin"}))
        return made[-1]

    yield start
    for each in made:
        launcher.signal_group(each.process, signal.SIGKILL)


def wait(record, within_s=10):
    pidfd = proc.open_pidfd(record.process)
    if pidfd is not None:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        assert poller.poll(within_s * 1000)
        os.close(pidfd)


def ended(directory, record):
    eventually(lambda: launcher.ending(directory, record) != ExitStatus(), "how it ended is known")
    return launcher.ending(directory, record)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 3", ExitStatus(code=3)),
        ("exit 0", ExitStatus(code=0)),
        ("kill -KILL $$", ExitStatus(signal="SIGKILL")),
        ("kill -SEGV $$", ExitStatus(signal="SIGSEGV")),
        ("kill -INT $$", ExitStatus(signal="SIGINT")),
    ],
)
def test_how_it_ended_is_known_although_it_is_nobodys_child(tmp_path, launch, script, expected):
    record = launch(script)
    wait(record)
    assert ended(tmp_path, record) == expected


def test_it_is_its_own_session_and_gets_its_environment_and_argv_unchanged(tmp_path, launch):
    record = launch(
        'printf "%s|%s|%s" "$0" "$A" "$(pwd)" >"$OUT"; sleep 60', {"A": "$b 'c'", "OUT": f"{tmp_path}/out"}, "/usr"
    )
    pid = record.process.pid
    assert os.getsid(pid) == os.getpgid(pid) == pid
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) > int(Path("/proc/self/oom_score_adj").read_text())
    eventually((tmp_path / "out").read_text)
    assert (tmp_path / "out").read_text() == "$HOME `x`|$b 'c'|/usr"
    assert registry.read(tmp_path, record.id) == record


def test_no_program_is_exit_code_127_and_said_in_its_log(tmp_path):
    order = Entry("k", "x", ("/nowhere",), "/nowhere", "/c", "signal", None, 0.0)
    record = launcher.launch(tmp_path, order, {})
    wait(record)
    assert ended(tmp_path, record) == ExitStatus(code=127)
    words = (tmp_path / "k.log").read_text()
    assert "cannot start /nowhere" in words
    assert "starts in / instead" in words


@pytest.mark.slow
def test_all_end_at_the_same_time_and_leave_nothing(tmp_path, launch):
    kind = launch("sleep 60")
    others = tmp_path.with_name("others")
    others.mkdir()
    ask = 'for each in "$OTHERS"/*.pid; do kill -0 "$(cat "$each")" && echo lives; done >"$OTHERS/$$.term"'
    loop = f'trap "" INT; trap {shlex.quote(ask)} TERM; echo $$ >"$OTHERS/$$.pid"; while :; do sleep 0.05; done'
    stubborn = [launch(loop, {"OTHERS": str(others), "PATH": "/usr/bin:/bin"}) for _ in range(2)]
    eventually(lambda: len(list(others.glob("*.pid"))) == 2)
    begin = time.monotonic()
    assert stop.end_all(tmp_path, [kind, *stubborn], 2, "test") == []
    assert time.monotonic() - begin >= 2, "they had less than the grace"
    assert [each.read_text() for each in others.glob("*.term")] == ["lives\nlives\n"] * 2, "one after the other"
    assert not any(proc.is_alive(each.process) for each in [kind, *stubborn])
    assert {each.name for each in tmp_path.iterdir()} == {"server.lock"}


def test_while_a_server_runs_the_forgetting_is_left_to_it(tmp_path, launch):
    record = launch("sleep 60")
    held = registry.hold_as_server(tmp_path)
    assert stop.end_all(tmp_path, [record], 1, "by me") == []
    os.close(held)
    assert (tmp_path / f"{record.id}.why").read_text() == "by me"
    assert (tmp_path / f"{record.id}.json").exists()


def test_what_a_dead_kernel_left_in_its_session_is_ended(tmp_path, launch):
    record = launch(
        "sh -c 'echo $$ >\"$OUT\"; exec sleep 60' & wait", {"OUT": f"{tmp_path}/out", "PATH": "/usr/bin:/bin"}
    )
    eventually(lambda: (tmp_path / "out").read_text().strip())
    pid = int((tmp_path / "out").read_text())
    left = proc.Identity(pid, proc.started(pid), proc.boot_id())
    os.kill(record.process.pid, signal.SIGKILL)
    wait(record)
    assert proc.is_alive(left)
    launcher.forget(tmp_path, record)
    eventually(lambda: not proc.is_alive(left))


def test_a_signal_to_one_that_is_gone_is_no_error(launch):
    record = launch("exit 0")
    wait(record)
    assert launcher.signal_group(record.process, signal.SIGINT) is False


def test_a_log_is_kept_short_without_a_hole(tmp_path):
    log = tmp_path / "k.log"
    with log.open("ab") as writer:
        writer.write(b"line\n" * (kernel_log.MAX_BYTES // 4))
        writer.flush()
        kernel_log.trim(tmp_path, "k")
        writer.write(b"last\n")
    text = log.read_bytes()
    assert len(text) < kernel_log.MAX_BYTES
    assert text.startswith(b"[...]\nline\n")
    assert text.endswith(b"line\nlast\n")
    assert b"\0" not in text


@pytest.mark.parametrize(
    ("written", "begin", "lines"),
    [
        ("", 0, []),
        ("old\n", 4, []),
        ("old\nNo module named x\n", 4, ["No module named x"]),
        ("a\n\n  \nb\n", 0, ["a", "b"]),
        ("\x1b[31mred\x1b[0m \x07bell\n", 0, ["red \N{REPLACEMENT CHARACTER}bell"]),
        ("".join(f"{number}\n" for number in range(100)), 0, [str(number) for number in range(88, 100)]),
        ("x" * 9000 + "\nlast", 0, ["x" * (8192 - 5), "last"]),
    ],
)
def test_the_last_lines_of_a_kernel(tmp_path, written, begin, lines):
    assert kernel_log.last_lines(tmp_path, "k") == []
    kernel_log.create(tmp_path, "k").write_text(written)
    assert kernel_log.last_lines(tmp_path, "k", begin) == lines
    assert (tmp_path / "k.log").stat().st_mode & 0o777 == 0o600


def test_the_record_is_plain_json(tmp_path, launch):
    record = launch("sleep 60")
    assert json.loads((tmp_path / f"{record.id}.json").read_text())["argv"][0] == "/bin/sh"
