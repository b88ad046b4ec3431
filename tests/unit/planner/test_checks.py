"""The look at the machine. What depends on permissions is asked as an ordinary account, in a child process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from jupyterd.linux.accounts import Account
from jupyterd.planner import checks
from jupyterd.settings import login_store, paths
from jupyterd.settings.problems import Origin
from jupyterd.settings.schema import LoginSettings, ServerSettings, Settings, TlsSettings
from jupyterd.settings.table import SETTINGS

ADA = Account("ada", 4711, 4711, "/home/ada")
AT = Origin("/x.toml", 7)
ORIGINS = dict.fromkeys(SETTINGS, AT)


def place(base: Path, mode: paths.Mode = "foreground") -> paths.Paths:
    return paths.Paths(mode, base / "state", base / "state/run")


def checked(base: Path, mode: paths.Mode = "foreground", account: Account = ADA, **sections: Any) -> checks.Checked:
    root = (
        {"server": attrs.evolve(sections.pop("server", ServerSettings()), root_dir=str(base))}
        if "at" not in sections
        else {}
    )
    root |= {"server": sections.pop("at")} if "at" in sections else {}
    return checks.check(Settings(**root, **sections), ORIGINS, place(base, mode), account)


def said(found: checks.Checked) -> list[str]:
    return [
        *map(str, found.problems),
        *(f"waiting: {each.code}: {each.text}; {each.advice}" for each in found.waiting),
        *(f"warning: {each.code}: {each.text}; {each.advice}" for each in found.warnings),
    ]


def test_the_defaults_are_fine(tmp_path: Path) -> None:
    assert checked(tmp_path) == checks.Checked()


def test_root_needs_to_be_allowed(tmp_path: Path) -> None:
    root = Account("root", 0, 0, "/root")
    assert said(checked(tmp_path, account=root)) == [
        (
            "/x.toml:7: the account is root, and server.allow_root is false; every notebook could do "
            "everything to this "
            "machine; run it as an ordinary account, or allow it: --allow-root, or "
            "allow_root = true in [server]"
        )
    ]
    assert checked(tmp_path, account=root, server=ServerSettings(allow_root=True)) == checks.Checked()


@pytest.mark.parametrize(
    ("ip", "public"),
    [
        (("localhost",), False), (("127.0.0.1", "::1", "127.8.8.8"), False), (("*",), True), (("0.0.0.0",), True),
        (("::",), True), (("localhost", "10.0.0.1"), True), (("fe80::1%eth0",), True),
    ],
)  # fmt: skip
def test_a_public_address_needs_tls(ip: tuple[str, ...], public: bool, tmp_path: Path) -> None:  # noqa: FBT001
    found = checked(tmp_path, server=ServerSettings(ip=ip), tls=TlsSettings(enabled=False))
    assert len(found.problems) == public
    if public:
        assert str(found.problems[0]).startswith(f"/x.toml:7: tls.enabled is false, and server.ip contains {ip[-1]}; ")
    allowed = TlsSettings(enabled=False, allow_plain_public=True)
    assert checked(tmp_path, server=ServerSettings(ip=ip), tls=allowed) == checks.Checked()


def test_on_a_public_address_somebody_has_to_get_in(tmp_path: Path) -> None:
    shut = LoginSettings(allow_password_change=False)
    public = ServerSettings(ip=("*",))
    assert said(checked(tmp_path, server=public, login=shut)) == [
        (
            "/x.toml:7: there is no password and no token, the browser may not set a password, "
            "and server.ip contains *; "
            "nobody could log in; "
            "set login.password_hash (jupyterd config hash) or login.token, or delete allow_password_change = false"
        )
    ]
    assert checked(tmp_path, login=shut) == checks.Checked()
    assert checked(tmp_path, server=public, login=attrs.evolve(shut, token="x" * 20)) == checks.Checked()
    assert checked(tmp_path, server=public) == checks.Checked()
    store = place(tmp_path).login
    login_store.consume(store, login_store.issue_token(store), password_hash="sha1:x:y")
    assert checked(tmp_path, server=public, login=shut) == checks.Checked()


def test_a_missing_root_directory_is_told_in_a_terminal_and_waited_for_by_a_service(tmp_path: Path) -> None:
    gone = ServerSettings(root_dir=str(tmp_path / "a b"))
    text = f"server.root_dir {tmp_path}/a b does not exist"
    advice = f"type: mkdir -p '{tmp_path}/a b'   (or mount its disk)"
    assert said(checked(tmp_path, at=gone)) == [f"/x.toml:7: {text}; {advice}"]
    modes: tuple[paths.Mode, ...] = ("service", "user")
    for mode in modes:
        assert said(checked(tmp_path, mode, at=gone)) == [f"waiting: root-dir: {text} (/x.toml:7); {advice}"]


def test_a_root_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert said(checked(tmp_path, "service", at=ServerSettings(root_dir=str(file)))) == [
        f"/x.toml:7: server.root_dir {file} is not a directory; set another root_dir"
    ]
    assert said(checked(tmp_path, "service", at=ServerSettings(root_dir=str(file / "x")))) == [
        f"/x.toml:7: server.root_dir {file}/x is not a directory; set another root_dir"
    ]


def test_a_hidden_part_is_a_warning(tmp_path: Path) -> None:
    hidden = tmp_path / ".cache/x"
    hidden.mkdir(parents=True)
    assert said(checked(tmp_path, at=ServerSettings(root_dir=str(hidden)))) == [
        (
            f"warning: root-dir-hidden: server.root_dir {hidden} has a hidden part (.cache), and hidden "
            f"files are not shown; "
            "write hidden_files = true in [server], or move the directory"
        )
    ]
    assert checked(tmp_path, at=ServerSettings(root_dir=str(hidden), hidden_files=True)) == checks.Checked()


def test_a_directory_of_jupyters_own_must_be_there(tmp_path: Path) -> None:
    named = tmp_path / "jupyter"
    server = ServerSettings(jupyter_config_dir=str(named))
    assert said(checked(tmp_path, "service", server=server)) == [
        f"/x.toml:7: server.jupyter_config_dir {named} does not exist; type: mkdir -p {named}; or delete the line"
    ]
    named.write_text("")
    assert said(checked(tmp_path, server=server)) == [
        f"/x.toml:7: server.jupyter_config_dir {named} is a file; give the directory that contains it: {tmp_path}"
    ]
    named.unlink()
    named.mkdir()
    assert checked(tmp_path, server=server) == checks.Checked()


CHILD = """
import os, pickle, sys
from jupyterd.planner import checks; from jupyterd.settings import load
from jupyterd.settings.problems import Invalid
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(4711)
    os.setuid(4711)
what, *arguments = pickle.loads(sys.stdin.buffer.read())
try:
    answer = checks.check(*arguments) if what == "check" else load.load(load.sources(*arguments)).settings
except Invalid as invalid:
    answer = [str(each) for each in invalid.problems]
sys.stdout.buffer.write(pickle.dumps(answer))
"""


def as_ordinary_account(*request: object) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=pickle.dumps(request), capture_output=True, timeout=20, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return pickle.loads(done.stdout)  # noqa: S301 - our own child's


def ordinary(base: Path, server: ServerSettings, mode: paths.Mode = "foreground") -> list[str]:
    return said(as_ordinary_account("check", Settings(server=server), ORIGINS, place(base, mode), ADA))


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        (
            0o000,
            (
                "cannot be read or entered by ada; see which part of the path refuses it: namei -l {root}; "
                "or set another root_dir"
            ),
        ),
        (
            0o311,
            (
                "cannot be read or entered by ada; see which part of the path refuses it: namei -l {root}; "
                "or set another root_dir"
            ),
        ),
        (0o555, "cannot be written by ada; type: sudo chown ada {root}; or set another root_dir"),
        (0o444, "cannot be written by ada; type: sudo chown ada {root}; or set another root_dir"),
    ],
)
def test_a_root_directory_that_the_account_cannot_use(mode: int, what: str, public_path: Path) -> None:
    root = public_path / "root"
    root.mkdir()
    root.chmod(mode)
    try:
        lines = ordinary(public_path, ServerSettings(root_dir=str(root)), "service")
    finally:
        root.chmod(0o755)
    assert lines == [f"/x.toml:7: server.root_dir {root} " + what.format(root=root)]


def test_a_root_directory_behind_a_closed_door(public_path: Path) -> None:
    door = public_path / "door"
    (door / "root").mkdir(parents=True)
    door.chmod(0)
    try:
        lines = ordinary(public_path, ServerSettings(root_dir=f"{door}/root", jupyter_config_dir=f"{door}/x"))
    finally:
        door.chmod(0o755)
    assert [line.split("; ")[0] for line in lines] == [
        f"/x.toml:7: server.root_dir {door}/root cannot be read or entered by ada",
        f"/x.toml:7: server.jupyter_config_dir {door}/x cannot be read by ada (permission denied)",
    ]


def test_a_settings_file_that_the_account_cannot_read(public_path: Path) -> None:
    file = public_path / "x.toml"
    file.write_text("[server]\nport = 1")
    file.chmod(0)
    (line,) = as_ordinary_account("load", "foreground", file, {}, {})
    assert line.startswith(f"{file}: cannot be read by ")
    assert line.endswith(f"; see which part of the path refuses it: namei -l {file}")
    directory = public_path / "jupyterd/jupyterd.toml.d"
    directory.mkdir(parents=True)
    directory.chmod(0)
    try:
        (line,) = as_ordinary_account("load", "foreground", None, {"XDG_CONFIG_HOME": str(public_path)}, {})
    finally:
        directory.chmod(0o755)  # otherwise an ordinary account cannot remove it
    assert line.startswith(f"{directory}: cannot be read by ")


@pytest.mark.skipif(os.getuid() != 0, reason="the file has to be root's")
def test_a_secret_in_a_file_of_roots_is_closed_so_that_the_account_can_still_read_it(public_path: Path) -> None:
    file = public_path / "x.toml"
    file.write_text(f"[login]\ntoken = '{'x' * 20}'")
    file.chmod(0o644)
    (line,) = as_ordinary_account("load", "service", file, {}, {})
    assert line.endswith(f"type: sudo chown 4711 {file} && sudo chmod 600 {file}")


MOUNTS: dict[str, Callable[[Path], list[list[str]]]] = {
    "here": lambda root: [
        ["mount", "--bind", str(root), str(root)],
        ["mount", "-o", "remount,bind,ro", str(root)],
    ],
    "disk": lambda root: [["mount", "-t", "tmpfs", "-o", "ro,mode=777", "jupyterd-test", str(root)]],
}


@pytest.mark.skipif(os.getuid() != 0, reason="mounts need root")
@pytest.mark.parametrize("how", ["here", "disk"])
def test_a_read_only_root_directory_is_the_sandboxes_or_the_disks(how: str, public_path: Path) -> None:
    """As systemd's ProtectSystem=strict makes it, and as a disk that went bad is."""
    root = public_path / "root"
    root.mkdir(mode=0o777)
    root.chmod(0o777)
    steps = " && ".join(" ".join(step) for step in MOUNTS[how](root))
    request = (
        "check",
        Settings(server=ServerSettings(root_dir=str(root))),
        ORIGINS,
        place(public_path, "service"),
        ADA,
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{steps} || exit 77; exec "$0" -c "$1"', sys.executable, CHILD],
        input=pickle.dumps(request), capture_output=True, timeout=20, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    if done.returncode in (1, 77):
        pytest.skip(f"no mounts here: {done.stderr.decode()[-200:]}")
    found = said(pickle.loads(done.stdout))  # noqa: S301 - our own child's
    assert (
        found
        == {
            "here": [
                (
                    f"/x.toml:7: the sandbox of the service does not allow writing to server.root_dir {root}; "
                    "type: sudo ./install; "
                    f"or: sudo systemctl edit "
                    f'jupyterd, write below [Service] ReadWritePaths="-{root}", then sudo systemctl restart jupyterd'
                )
            ],
            "disk": [
                (
                    f"waiting: root-dir: server.root_dir {root} is on a disk that is read-only (/x.toml:7); "
                    f"type: sudo mount -o remount,rw {root}"
                )
            ],
        }[how]
    )


def test_configuration_in_the_directory_that_is_jupyterds_own_is_told(tmp_path: Path) -> None:
    own = place(tmp_path).jupyter_config
    for name in ("serverconfig", "labconfig", "lab", "custom"):
        (own / name).mkdir(parents=True)
    (own / "jupyter_server_config.json").write_text('{"Jupyterd": {}, "ServerApp": {}}')  # an earlier version's
    (own / "jupyter_server_config.json").chmod(0o600)
    assert checked(tmp_path) == checks.Checked()
    for name in ("jupyter_server_config.py", "jupyter_lab_config.json", "jupyter_config.py", "jupyter b\nconfig"):
        (own / name).touch()
    (own / "jupyter_server_config.d").mkdir()
    (told,) = said(checked(tmp_path))
    assert told == (
        f"warning: foreign-configuration: 'jupyter b\\nconfig', jupyter_config.py, jupyter_lab_config.json, "
        f"jupyter_server_config.d and 1 more in {own}: not loaded, this directory is jupyterd's own; "
        "move it to a directory of your own, and name that in [server] jupyter_config_dir; or delete it"
    )
