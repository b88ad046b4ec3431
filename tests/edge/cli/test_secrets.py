"""What another account, and a kernel, can find of what opens the door: nothing. A real server that was logged in to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from support.network import no_trust, type_text, websocket
from support.served import Served, served
from support.waiting import eventually

from jupyterd.linux import files, kept

STRANGER = 61235
PASSWORD = "correct-horse-battery-staple"
LASTING = "a-lasting-token-0123456789abcdef"


class Client:
    """Keeps cookies."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str]:
        to = HTTPSConnection("localhost", self.port, timeout=30, context=no_trust())
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        to.request(method, path, body, sent)
        answer = to.getresponse()
        text = answer.read().decode(errors="replace")
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        to.close()
        return answer.status, text

    def log_in(self, typed: str, **more: str) -> int:
        xsrf = re.search(r'name="_xsrf" value="([^"]+)"', self.ask("GET", "/login")[1])
        assert xsrf
        body = urllib.parse.urlencode({"_xsrf": xsrf[1], "password": typed, **more})
        return self.ask("POST", "/login", body, Content_Type="application/x-www-form-urlencoded")[0]

    def post(self, path: str, body: object) -> dict[str, object]:
        headers = {"X_XSRFToken": self.cookies["_xsrf"], "Content_Type": "application/json"}
        status, text = self.ask("POST", path, json.dumps(body), **headers)
        assert status in (200, 201), text
        found: dict[str, object] = json.loads(text)
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served("--no-lab") as here:
        assert here.link
        yield here


@pytest.fixture(scope="module")
def secrets(server: Served) -> dict[str, bytes]:
    """Every one there is, after a login by the link, a password, a kernel and a terminal."""
    token = server.link.partition("#token=")[2]
    client = Client(server.port)
    assert client.log_in(token, new_password=PASSWORD, new_password_again=PASSWORD) == 302
    client.post("/api/kernels", {"name": "python3"})
    terminal = client.post("/api/terminals", {})
    _run_in_terminal(
        client,
        str(terminal["name"]),
        "env > ~/terminal-environ; echo done > ~/terminal-done\r",
        server.home / "terminal-done",
    )
    state = server.home / ".local/state/jupyterd"
    eventually(lambda: _kernels(server), "a kernel")
    login = json.loads((state / "login.json").read_text())
    found = {"the one-time token": token, "the password": PASSWORD, "its hash": login["password_hash"]}
    found |= {f"cookie {name}": value for name, value in client.cookies.items() if name != "_xsrf"}
    held = {name: value.encode() for name, value in found.items()}
    held["the secret of the cookies"] = (state / "cookie_secret").read_bytes()
    keys = re.findall(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n(\S+)", "".join(each.read_text() for each in state.glob("tls/*.pem"))
    )
    assert keys
    held |= {f"key {number}": key.encode() for number, key in enumerate(keys)}
    for each in (server.home / ".local/state/jupyterd").rglob("*.json"):
        if key := _message_key(each):
            held[f"message key of {each.name}"] = key.encode()
    return held


def _message_key(path: Path) -> str:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return ""
    return str(document.get("key", "")) if isinstance(document, dict) and "shell_port" in document else ""


def _run_in_terminal(client: Client, name: str, line: str, done: Path) -> None:
    """Type until it has been done: what comes before the shell's prompt may be lost."""
    connection = websocket(client.port, f"/terminals/websocket/{name}", client.cookies)

    def is_done() -> bool:
        type_text(connection, json.dumps(["stdin", line]))
        return done.exists()

    eventually(is_done, "the terminal has done it", every_s=1)
    connection.close()


def _of_account(uid: int) -> list[Path]:
    return [each for each in Path("/proc").glob("[0-9]*") if each.exists() and each.stat().st_uid == uid]


def _kernels(server: Served) -> list[bytes]:
    """The environments of this account's kernels, as the kernels themselves see them."""
    found = []
    for each in _of_account(server.uid):
        try:
            if b"ipykernel" in (each / "cmdline").read_bytes():
                found.append((each / "environ").read_bytes())
        except OSError:
            continue
    return found


LOOKER = """
import os, sys
from pathlib import Path
held = [bytes.fromhex(each) for each in sys.stdin.read().split()]
uid, home = int(sys.argv[1]), sys.argv[2]
looked = 0
def look(path):
    global looked
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read(4_000_000)
    except OSError:
        return
    looked += 1
    for number, secret in enumerate(held):
        if secret in data:
            print("FOUND", number, path)
for each in Path("/proc").glob("[0-9]*"):
    try:
        if each.stat().st_uid != uid:
            continue
    except OSError:
        continue
    for part in ("cmdline", "environ", "status", "comm", "mountinfo", "net/unix"):
        look(each / part)
for top in (home, "/tmp", "/run", "/dev/shm", "/var/tmp"):
    for directory, _, files in os.walk(top):
        for name in files:
            path = os.path.join(directory, name)
            try:
                if os.lstat(path).st_uid == uid and os.path.isfile(path) and not os.path.islink(path):
                    look(path)
            except OSError:
                pass
print("LOOKED", looked)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second account: run as root")
def test_another_account_finds_none(server: Served, secrets: dict[str, bytes]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOOKER, str(server.uid), str(server.home)],
        input="\n".join(each.hex() for each in secrets.values()), capture_output=True, text=True, timeout=120,
        check=True, user=STRANGER, group=STRANGER, extra_groups=[], cwd="/",
    )  # fmt: skip
    lines = done.stdout.splitlines()
    names = list(secrets)
    assert [f"{names[int(line.split()[1])]} in {line.split()[2]}" for line in lines if line.startswith("FOUND")] == []
    assert int(lines[-1].split()[1]) > 5, "it has to have looked at something"


def test_argv_and_environment_hold_none_also_for_the_account_itself(server: Served, secrets: dict[str, bytes]) -> None:
    seen = 0
    for each in _of_account(server.uid):
        for part in ("cmdline", "environ"):
            try:
                data = (each / part).read_bytes()
            except OSError:
                continue
            seen += 1
            found = [name for name, secret in secrets.items() if secret in data]
            assert not found, (each, part, found)
    assert seen > 6


def test_kernels_and_terminals_inherit_nothing_of_the_server(server: Served, secrets: dict[str, bytes]) -> None:
    environments = [*_kernels(server), (server.home / "terminal-environ").read_bytes().replace(b"\n", b"\0")]
    assert len(environments) > 1
    for environ in environments:
        names = {each.partition(b"=")[0] for each in environ.split(b"\0")}
        private = (b"JUPYTERD_", b"JUPYTER_TOKEN", b"NOTIFY_SOCKET", b"WATCHDOG_", b"LISTEN_", b"CREDENTIALS_DIRECTORY")
        assert not [name for name in names if name.startswith(private)]
        assert not [name for name, secret in secrets.items() if secret in environ]


def test_the_log_holds_none_but_the_link_at_the_terminal(server: Served, secrets: dict[str, bytes]) -> None:
    said = server.said.encode()
    found = [name for name, secret in secrets.items() if secret in said]
    assert found == ["the one-time token"]  # in the banner, which a journal never gets
    assert len(re.findall(re.escape(secrets["the one-time token"]), said)) <= 2


@pytest.mark.parametrize("kind", ["symlink", "hard link", "fifo", "directory"])
@pytest.mark.parametrize("name", ["login.json", "live.json", "cookie_secret", "traits.json"])
def test_what_is_planted_is_set_aside_and_its_target_stays(tmp_path: Path, name: str, kind: str) -> None:
    target, path = tmp_path / "target", tmp_path / "state" / name
    files.private_directory(path.parent)
    target.write_bytes(b"untouched")
    target.chmod(0o600)

    def plant() -> None:
        match kind:
            case "symlink":
                path.symlink_to(target)
            case "hard link":
                path.hardlink_to(target)
            case "fifo":
                os.mkfifo(path, 0o600)
            case "directory":
                path.mkdir()

    before = len([*Path("/proc/self/fd").iterdir()])
    told: list[str] = []
    plant()
    with pytest.raises(files.Damaged):
        files.read_private(path)
    kept.write(path, b"ours", told.append)
    assert files.read_private(path) == b"ours"
    path.unlink()
    plant()
    os.close(kept.open_own(path, told.append))
    assert files.read_private(path) == b""
    assert len([*Path("/proc/self/fd").iterdir()]) == before
    assert target.read_bytes() == b"untouched"
    assert [path.name in each for each in told] == [True, True]


def test_run_sets_a_planted_link_aside_and_says_so(tmp_path: Path) -> None:
    """It goes on to the next mistake, which is the user's."""
    state = tmp_path / "state"
    files.private_directory(state)
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (state / "lock").symlink_to(victim)
    environ = {"JUPYTERD_STATE_DIR": str(state), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-I", "-m", "jupyterd", "run", "--port", "18923", "--root-dir", "/nowhere"],
        capture_output=True, text=True, timeout=60, check=False, env=environ,
    )  # fmt: skip
    assert done.returncode == 78, done.stderr
    assert "lock was damaged (is a symbolic link, not a file): it was set aside as lock.damaged" in done.stderr
    assert "Traceback" not in done.stderr
    assert victim.read_text() == "untouched"
