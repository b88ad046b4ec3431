"""Plays the supervisor: binds sockets, writes what jupyter.config generates, starts the real server as an ordinary
account, talks to it over its channel and over HTTP.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import http.client
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from support import authority
from support.network import no_trust

from jupyterd.linux.accounts import Account
from jupyterd.planner import jupyter_command, jupyter_config
from jupyterd.protocol import heartbeat, server_channel
from jupyterd.settings import schema
from jupyterd.settings.paths import Paths

START_TIMEOUT_S = 60.0
TOKEN = "a-lasting-token-0123456789"
DEFAULTS = schema.Settings()


def ordinary() -> pwd.struct_passwd:
    """Ourselves, or an account without rights when the tests run as root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    people = [each for each in pwd.getpwall() if 1000 <= each.pw_uid < 60000]
    return people[0] if people else pwd.getpwnam("nobody")


def _make_pair(name: str = "localhost", *, kind: str = "ec", passphrase: bytes = b"") -> tuple[bytes, bytes, str]:
    """Certificate, key (both PEM), and the sha256 of the certificate."""
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else None
    made = authority.make(name, key=key, names=(name, "127.0.0.1"), now=dt.datetime.now(dt.UTC))
    return made.pem, made.key_pem(passphrase=passphrase or None), hashlib.sha256(made.der).hexdigest()


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Browser:
    """Keeps cookies, follows nothing."""

    port: int
    tls: bool
    base: str = "/"
    cookies: dict[str, str] = field(default_factory=dict)

    def connect(self) -> http.client.HTTPConnection:
        if not self.tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=no_trust())

    def request(self, method: str, path: str, body: str | None = None, **headers: str) -> Reply:
        connection = self.connect()
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if self.cookies:
                sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            connection.request(method, path, body=body, headers=sent)
            with connection.getresponse() as answer:
                text = answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return Reply(answer.status, answer.headers, text)

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, **headers)

    def login(self, password: str, **more: str) -> Reply:
        page = self.get(f"{self.base}login")
        found = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
        assert found, page.text
        fields = {"_xsrf": found[1], "password": password, **more}
        body = urllib.parse.urlencode(fields)
        return self.request(
            "POST", f"{self.base}login?next={self.base}tree", body, Content_Type="application/x-www-form-urlencoded"
        )

    def logged_in(self) -> bool:
        return self.get(f"{self.base}api/contents?content=0").status == 200


@dataclass
class Served:
    """One server and its supervisor's ends."""

    paths: Paths
    account: Account
    settings: schema.Settings
    pair: jupyter_config.PairFiles | None
    port: int
    listener: socket.socket
    names: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    link: socket.socket | None = None
    command: Any = None
    beat: int | None = None
    _received: bytes = b""

    @property
    def home(self) -> Path:
        return Path(self.account.home)

    @property
    def log(self) -> Path:
        return self.home.parent / "output"

    def own(self, path: Path) -> None:
        for each in [path, *path.rglob("*")] if path.is_dir() else [path]:
            os.chown(each, self.account.uid, self.account.gid, follow_symlinks=False)

    def write(self) -> None:
        """As the planner does, as the account."""
        pid = os.fork()
        if pid == 0:
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(self.account.gid)
                    os.setuid(self.account.uid)
                traits = jupyter_config.generate(self.settings, self.paths)
                jupyter_config.write(self.paths, traits, jupyter_config.live(self.settings, self.pair, self.names))
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def start(self, *, wait: bool = True, spare: bool = False) -> Served:
        self.write()
        ours, theirs = socket.socketpair()
        self.link, self._received = ours, b""
        self.command = jupyter_command.server(self.settings, self.paths, self.account, self.environ)
        env = dict(self.command.env)
        self.beat = heartbeat.create() if self.beat is None else self.beat
        env |= {server_channel.CHANNEL: str(theirs.fileno()), server_channel.LISTEN: str(self.listener.fileno())}
        env[heartbeat.BEAT] = str(self.beat)
        env[server_channel.PROBLEMS] = "1"
        if spare:
            env[server_channel.SPARE] = "1"
        drop = {"user": self.account.uid, "group": self.account.gid, "extra_groups": []} if os.geteuid() == 0 else {}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command.argv, env=env, cwd=self.command.cwd, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, pass_fds=(theirs.fileno(), self.listener.fileno(), self.beat),
                start_new_session=True, **drop,
            )  # fmt: skip
        theirs.close()
        if wait:
            self.hear(server_channel.Ready)
        return self

    def hear(self, kind: type, timeout_s: float = START_TIMEOUT_S) -> Any:
        """The next message of this kind; others before it are dropped."""
        assert self.link is not None
        deadline = time.monotonic() + timeout_s
        while True:
            while b"\n" in self._received:
                line, _, self._received = self._received.partition(b"\n")
                message = server_channel.decode(line)
                if isinstance(message, kind):
                    return message
                assert not isinstance(message, server_channel.Failed), message
            self.link.settimeout(max(0.1, deadline - time.monotonic()))
            data = self.link.recv(4096)
            assert data, f"no {kind.__name__}: the server ended\n{self.output()}"
            self._received += data

    def go(self) -> None:
        """To a spare that is warm."""
        assert self.link is not None
        self.link.sendall(server_channel.encode(server_channel.Go()))
        self.hear(server_channel.Ready)

    def failed(self) -> str:
        """What it says when it cannot start."""
        assert self.link is not None
        self.link.settimeout(START_TIMEOUT_S)
        received = b""
        while data := self.link.recv(4096):
            received += data
        message = server_channel.decode(received.splitlines()[-1])
        assert isinstance(message, server_channel.Failed), message
        return message.problem

    def reload(self, **changes: Any) -> server_channel.Reloaded:
        for section, values in changes.items():
            changed = attrs.evolve(getattr(self.settings, section), **values)
            self.settings = attrs.evolve(self.settings, **{section: changed})
        self.write()
        assert self.link is not None
        self.link.sendall(server_channel.encode(server_channel.Reload("another")))
        answer: server_channel.Reloaded = self.hear(server_channel.Reloaded)
        assert answer.live_key == "another"
        return answer

    def browser(self) -> Browser:
        return Browser(self.port, self.pair is not None, self.settings.server.base_url)

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def store_pair(self, certificate: bytes, key: bytes, sha256: str) -> jupyter_config.PairFiles:
        place = self.home.parent / "pem"
        place.mkdir(exist_ok=True)
        for name, data in (("cert.pem", certificate), ("key.pem", key)):
            new = place / f"{name}.new"
            new.write_bytes(data)
            new.chmod(0o600)
            new.replace(place / name)
        self.own(place)
        self.pair = jupyter_config.PairFiles(str(place / "cert.pem"), str(place / "key.pem"), sha256)
        return self.pair

    def end(self, timeout_s: float = 15.0) -> int:
        assert self.process is not None
        assert self.link is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.link.close()


Serve = Callable[..., Served]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the ordinary account owns, with short paths."""
    who = ordinary()
    made = Path(tempfile.mkdtemp(prefix="jd"))
    made.chmod(0o755)
    try:
        for name in ("home", "state", "run"):
            (made / name).mkdir(mode=0o700)
            os.chown(made / name, who.pw_uid, who.pw_gid)
        yield made
    finally:
        for terminal in made.glob("state/terminals/*.pid"):  # with tmux they outlive the server
            with contextlib.suppress(ProcessLookupError):
                os.kill(json.loads(terminal.read_text())["pid"], signal.SIGTERM)
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def prepare(place: Path) -> Iterator[Serve]:
    """prepare(tls=True, mode="foreground", names=(), environ={}, server={...}, login={...}) -> Served, not started."""
    made: list[Served] = []
    who = ordinary()

    def build(
        *, tls: bool = True, mode: Any = "foreground", names: tuple[str, ...] = (), environ: Any = None, **sections: Any
    ) -> Served:
        sections.setdefault("server", {}).setdefault("root_dir", str(place / "home"))
        sections["server"].setdefault("lab", False)
        settings = schema.Settings(
            **{name: type(getattr(DEFAULTS, name))(**values) for name, values in sections.items()}
        )
        listener = socket.create_server(("127.0.0.1", 0))
        account = Account(who.pw_name, who.pw_uid, who.pw_gid, str(place / "home"))
        served = Served(
            Paths(mode, place / "state", place / "run"), account, settings, None, listener.getsockname()[1], listener,
            names, environ if environ is not None else {"PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        if tls:
            served.store_pair(*_make_pair())
        made.append(served)
        return served

    yield build
    for each in made:
        if each.process is not None and each.process.poll() is None:
            each.process.kill()
            each.process.wait()
        if each.link is not None:
            each.link.close()
        if each.beat is not None:
            os.close(each.beat)
        each.listener.close()


@pytest.fixture
def serve(prepare: Serve) -> Serve:
    """As prepare, and Ready."""
    return lambda **options: prepare(**options).start()


@pytest.fixture
def serve_limited(prepare, place):
    """serve_limited(connections_max=64, tls=True, **Limits): a server with a token and these limits."""

    def start(*, tls: bool = True, connections_max: int = 1000, **limits: float):
        own = place / "own"
        own.mkdir(mode=0o755)
        path = own / "jupyter_server_config.json"
        path.write_text(json.dumps({"JupyterdServerApp": {"limits": limits}}))
        path.chmod(0o644)
        server = {"jupyter_config_dir": str(own), "connections_max": connections_max}
        served = prepare(tls=tls, server=server, login={"token": TOKEN})
        return served.start()

    return start


@pytest.fixture
def make_pair() -> Callable[..., tuple[bytes, bytes, str]]:
    return _make_pair
