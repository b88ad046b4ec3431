"""Status: what is read without trust, what is told, and the exit codes. Real files and real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from jupyterd.cli import _common
from jupyterd.cli.status import page, verb
from jupyterd.cli.status.read import Nothing, ServerStatus, look
from jupyterd.launch import deaths
from jupyterd.launch.deaths import RecentDeath
from jupyterd.linux import files, proc
from jupyterd.protocol import status
from jupyterd.protocol.gpu_frames import Gpu
from jupyterd.protocol.plan import Certificate
from jupyterd.protocol.status import Address, Item, ProcessIdentity, Restart, Snapshot
from jupyterd.settings.paths import SERVICE_STATE

NOW = 1_800_000_000.0


def shot(supervisor: ProcessIdentity, **changes: object) -> Snapshot:
    made = Snapshot(
        version="0.1.0", mode="service", account="ada", state="serving",
        status="Serving https://gpu.lan:8888/ since Sun; 3 kernels", since=NOW - 100, supervisor=supervisor,
        server=supervisor, spare=None, sampler=None, urls=("https://gpu.lan:8888/",),
        addresses=(
            Address("gpu.lan", "https://gpu.lan:8888/", ok=True, since=NOW - 100, detail=""),
            Address("192.0.2.7", "https://192.0.2.7:8888/", ok=False, since=NOW - 90, detail=""),
        ),
        certificate=Certificate("/pair.pem", "ab" * 32, NOW, NOW + 40 * 86400, ("gpu.lan",), self_signed=True),
        kernels=3, kernels_busy=1, reloads=0, restarts=1, recent=(Restart(NOW - 50, "exited with code 1"),), items=(),
        gpus=(Gpu(0, "GPU-1", "NVIDIA H100", 71.0, None, 34 << 30, 80 << 30, 54, 312.0, None),), state_dir="/s",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # names of fields


def put(path: Path, made: Snapshot) -> Path:
    path.write_bytes(status.encode(made))
    return path


@pytest.fixture
def sleeper() -> Iterator[ProcessIdentity]:
    """A living process that stands for the supervisor."""
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        ticks = proc.started(child.pid)
        assert ticks is not None
        yield ProcessIdentity(child.pid, ticks)
        child.kill()


def painted(found: ServerStatus, **look_options: object) -> str:
    return page.page(found, page.PageOptions(NOW, **look_options))  # type: ignore[arg-type]


def rows(text: str) -> dict[str, list[str]]:
    """The lines that belong to each label."""
    found: dict[str, list[str]] = {}
    label = ""
    for line in text.splitlines()[2:]:
        label = line[2:15].strip() or label
        if line.strip():
            found.setdefault(label, []).append(line[15:])
    return found


def test_a_serving_supervisor_exits_0_and_everything_is_shown(tmp_path: Path, sleeper: ProcessIdentity) -> None:
    found = look([put(tmp_path / "s", shot(sleeper))])
    assert isinstance(found, ServerStatus)
    assert verb.code(found) == 0
    text = painted(found)
    head, status, *_ = text.splitlines()
    assert head.endswith(": serving, account ada")
    assert status.strip().startswith("Serving https://gpu.lan:8888/ since")
    shown = rows(text)
    assert shown["Addresses"] == ["https://gpu.lan:8888/    answers", "https://192.0.2.7:8888/  no answer for 1 min"]
    assert [each.split()[:2] for each in (*shown["Server"], *shown["Supervisor"])] == [["pid", str(sleeper.pid)]] * 2
    assert shown["Kernels"] == ["3, 1 busy"]
    assert shown["GPU"] == ["gpu0 H100: 71 %, 34.0 of 80 GiB, 54 °C, 312 W"]
    assert shown["Certificate"][:2] == ["self-signed, for gpu.lan", "expires on 2027-02-24, in 40 days"]
    assert shown["Certificate"][2].startswith("SHA-256  AB:AB")
    assert shown["Restarts"][0] == "1"
    assert shown["Restarts"][1].endswith("  exited with code 1")
    assert shown["Log"] == ["journalctl -u jupyterd -e"]
    assert max(map(len, text.splitlines())) <= 80
    assert "\N{ESCAPE}" not in text
    assert "\N{ESCAPE}[32m" in painted(found, colour=True)


def test_kernels_that_died_lately_are_told_with_their_cause(tmp_path: Path, sleeper: ProcessIdentity) -> None:
    (tmp_path / "kernels").mkdir()
    causes = (NOW - 30 * 86400, "old"), (NOW - 60, "out of memory"), (NOW - 50, "killed\x1b[31m (SIGKILL)")
    every = [RecentDeath(at, "k" * 36, "python3", f"/home/ada/{cause[:3]}.ipynb", cause) for at, cause in causes]
    (tmp_path / "kernels" / deaths.NAME).write_text(json.dumps([asdict(each) for each in every]))
    file = put(tmp_path / "s", shot(sleeper, state_dir=str(tmp_path)))
    found = look([file])
    assert isinstance(found, ServerStatus)
    text = painted(found)
    assert text.index("kil.ipynb (python3): killed") < text.index("out.ipynb (python3): out of memory")
    assert "old.ipynb" not in text
    assert "\N{ESCAPE}" not in text
    assert [each["cause"] for each in verb.document(found, ())["kernels_ended"]][:2] == ["old", "out of memory"]
    for garbage in ("", "{", "[1]", '[{"at": "x"}]', "[" * 9999):
        (tmp_path / "kernels" / deaths.NAME).write_text(garbage)
        assert look([file]).ended == ()  # type: ignore[union-attr]  # it is Standing


def test_kernels_that_run_are_told_also_when_nobody_serves_them(tmp_path: Path, sleeper: ProcessIdentity) -> None:
    directory = tmp_path / "kernels"
    directory.mkdir()
    for name, transport, unit, pid in (
        ("a", "ipc", "u", sleeper.pid),
        ("b", "tcp", None, sleeper.pid),
        ("c", "", "", 1),
    ):
        file = tmp_path / f"{name}.connection"
        file.write_text(json.dumps({"transport": transport}))
        record = {"name": f"spec-{name}", "unit": unit, "connection_file": str(file)}
        (directory / f"{name}.json").write_text(json.dumps(record))
        (directory / f"{name}.pid").write_text(json.dumps({"pid": pid, "started": sleeper.started}))
    (directory / "d.json").write_text("[")
    here = put(tmp_path / "s", shot(sleeper, state_dir=str(tmp_path)))
    found = look([here])
    assert isinstance(found, ServerStatus)
    text = painted(found)
    assert "over TCP, where other accounts on this machine can reach them: spec-b" in " ".join(text.split())
    assert "detached: they outlive the server, but not this container" in text
    running = verb.document(found, ())["kernels_running"]
    assert [(each["id"], each["detached"], each["tcp"]) for each in running] == [("a", False, False), ("b", True, True)]
    left = look([put(tmp_path / "s", shot(replace(sleeper, started=1), state_dir=str(tmp_path)))])
    assert isinstance(left, Nothing)
    assert "2 kernels still run" in verb.absent(left, ())
    assert "sudo jupyterd kernels stop --all" in verb.absent(left, ())
    assert len(verb.document(left, ())["kernels_running"]) == 2


def test_without_a_server_the_kernels_are_those_that_run(tmp_path: Path, sleeper: ProcessIdentity) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels/k.json").write_text(json.dumps({"name": "x", "unit": "u", "connection_file": "/c"}))
    gone = replace(sleeper, started=1)
    for changes in ({"server": None}, {"server": gone}, {"kernels": None, "kernels_busy": None}):
        here = put(tmp_path / "s", shot(sleeper, state_dir=str(tmp_path), **changes))
        (tmp_path / "kernels/k.pid").write_text(json.dumps({"pid": sleeper.pid, "started": sleeper.started}))
        assert rows(painted(look([here])))["Kernels"][0] == "1, no server to say whether they are busy"  # type: ignore[arg-type]
        (tmp_path / "kernels/k.pid").write_text(json.dumps({"pid": 1, "started": 1}))
        assert rows(painted(look([here])))["Kernels"] == ["none"]  # type: ignore[arg-type]


def test_every_mistake_of_refused_settings_is_shown(tmp_path: Path, sleeper: ProcessIdentity) -> None:
    item = Item("settings-refused", "warning", "a.toml:3: x (and 1 more)", "jupyterd config check", NOW - 5)
    found = look([put(tmp_path / "s", shot(sleeper, items=(item,), refused=("a.toml:3: x", "a.toml:4: y")))])
    assert isinstance(found, ServerStatus)
    assert painted(found).endswith("  all problems:\n      a.toml:3: x\n      a.toml:4: y\n")


def test_trouble_exits_1_and_shows_the_advice(tmp_path: Path, sleeper: ProcessIdentity) -> None:
    item = Item("port", "error", "0.0.0.0:8888 is in use", "sudo ss -ltnp", NOW - 5)
    found = look([put(tmp_path / "s", shot(sleeper, items=(item,)))])
    assert isinstance(found, ServerStatus)
    assert verb.code(found) == 1
    assert "      sudo ss -ltnp\n" in painted(found)
    warning = replace(item, severity="warning")
    assert verb.code(look([put(tmp_path / "s", shot(sleeper, items=(warning,)))])) == 0
    assert verb.code(look([put(tmp_path / "s", shot(sleeper, state="waiting"))])) == 1


def test_a_halted_supervisor_is_told(tmp_path: Path, sleeper: ProcessIdentity) -> None:
    os.kill(sleeper.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED)
    found = look([put(tmp_path / "s", shot(sleeper))])
    assert isinstance(found, ServerStatus)
    assert verb.code(found) == 1
    assert f"kill -CONT {sleeper.pid}" in painted(found)
    assert verb.document(found, ())["problem"]


def test_a_supervisor_that_is_gone_exits_3(tmp_path: Path, sleeper: ProcessIdentity) -> None:
    old = replace(sleeper, started=sleeper.started - 1)
    found = look([put(tmp_path / "s", shot(old, state="serving"))])
    assert isinstance(found, Nothing)
    assert verb.code(found) == 3
    assert "ended unexpectedly" in verb.absent(found, ())
    left = look([put(tmp_path / "s", shot(old, state="stopped"))])
    assert isinstance(left, Nothing)
    assert "it was stopped" in verb.absent(left, ())
    made = verb.document(found, ())
    assert (made["running"], made["server"], made["supervisor"]) == (False, None, None)


def test_json_is_the_snapshot_and_running(tmp_path: Path, sleeper: ProcessIdentity) -> None:
    made = verb.document(look([put(tmp_path / "s", shot(sleeper))]), ())
    assert made["running"] is True
    assert made["server"]["pid"] == made["supervisor"]["pid"] == sleeper.pid
    assert made["format"] == status.FORMAT
    json.dumps(made)


def test_the_first_that_runs_wins(tmp_path: Path, sleeper: ProcessIdentity) -> None:
    old = put(tmp_path / "old", shot(replace(sleeper, started=1)))
    new = put(tmp_path / "new", shot(sleeper, account="bob"))
    found = look([tmp_path / "none", old, new])
    assert isinstance(found, ServerStatus)
    assert found.file == new


def test_nothing_at_all_exits_3_and_names_the_places(tmp_path: Path) -> None:
    files = (tmp_path / "a", tmp_path / "b")
    found = look(files)
    assert isinstance(found, Nothing)
    assert verb.code(found) == 3
    assert str(files[0]) in verb.absent(found, files)


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _huge(path: Path) -> None:
    path.write_bytes(b"[" * (files.LARGEST_BYTES + 1))


def _nested(path: Path) -> None:
    path.write_bytes(b'{"format": 1, "a": ' + b"[" * 200_000)


def _no_number(path: Path) -> None:
    made = json.loads(status.encode(shot(ProcessIdentity(1, 1))))
    path.write_text(json.dumps(made | {"since": float("nan")}))


def _no_shape(path: Path) -> None:
    path.write_text('{"format": 1, "supervisor": 3}')


def _not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe{}")


def _directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [_fifo, _link, _huge, _nested, _no_number, _no_shape, _not_text, _directory])
def test_what_is_no_snapshot_neither_hangs_nor_crashes(tmp_path: Path, make: object) -> None:
    path = tmp_path / "status.json"
    make(path)  # type: ignore[operator]  # one of the above
    found = look([path])
    assert isinstance(found, Nothing)
    assert len(found.damaged) == 1
    assert verb.code(found) == 1
    assert str(path) in verb.absent(found, (path,))


def test_escape_sequences_of_the_account_do_not_reach_the_screen(tmp_path: Path, sleeper: ProcessIdentity) -> None:
    found = look([put(tmp_path / "s", shot(sleeper, account="\N{ESCAPE}]0;owned\a", status="a\r\nb\x9b2J"))])
    assert isinstance(found, ServerStatus)
    text = painted(found)
    assert not any(ord(letter) < 32 and letter != "\n" for letter in text)
    assert "\x9b" not in text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_another_account_is_told_to_use_sudo(tmp_path: Path, sleeper: ProcessIdentity) -> None:
    locked = tmp_path / "run"
    locked.mkdir(mode=0o700)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o711)
    tmp_path.chmod(0o711)
    put(locked / "s", shot(sleeper))
    program = (
        "import sys, pathlib; from jupyterd.cli.status import verb as status\n"
        "from jupyterd.cli.status.read import look\n"
        "file = pathlib.Path(sys.argv[1]); found = look([file]); print(status.absent(found, (file,)));"
        "sys.exit(status.code(found))"
    )
    argv = [sys.executable, "-c", program, str(locked / "s")]
    done = subprocess.run(
        argv, user=1234, group=1234, extra_groups=[], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "sudo jupyterd status" in done.stdout


def test_root_means_the_service_and_others_their_own(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    own = tmp_path / "state" / "jupyterd"
    assert [each.state for each in _common.places(None, environ, 1234)] == [own, SERVICE_STATE]
    assert [each.state for each in _common.places(None, environ, 0)] == [SERVICE_STATE, own]
    assert [each.state for each in _common.places("user", environ, 0)] == [own]
    assert [each.state for each in _common.places("system", environ, 1234)] == [SERVICE_STATE]


def test_a_named_state_directory_is_the_only_place(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "JUPYTERD_STATE_DIR": str(tmp_path / "here")}
    assert [each.state for each in _common.places(None, environ, 0)] == [tmp_path / "here"]
