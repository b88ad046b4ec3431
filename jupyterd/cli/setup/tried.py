"""The server that the account has tried with ./run before it gets a permanent one: whether it still runs, and what is
worth keeping of it.

Also runs from a checkout, before there is an environment: standard library only.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyterd.cli import as_account
from jupyterd.environments import choices
from jupyterd.linux import kept
from jupyterd.linux.accounts import STATE_BELOW_HOME, Account
from jupyterd.linux.files import is_locked, read_private, read_untrusted
from jupyterd.settings import login_store
from jupyterd.text import plural

CERTIFICATES = ("installed.pem", "authority.pem", "local.pem")
"""In the directory tls of a state directory. A self-signed one is not among them: that of ./run names localhost alone,
and the service would make another as soon as it has to name more.
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """`runs`: a supervisor holds its state directory. The next five are from its status file: "" and 0 where that does
    not say. `password` to `settings`: what it has.
    """

    state: str
    runs: bool
    mode: str
    url: str
    pid: int
    kernels: int
    busy: int
    password: bool
    certificates: tuple[str, ...]
    self_signed: bool
    environment: bool
    settings: bool

    @property
    def port(self) -> int:
        """Where it serves; 0: unknown."""
        parts = urlsplit(self.url)
        return parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)

    @property
    def shown(self) -> str:
        """The running server, for a sentence."""
        facts = [f"pid {self.pid}"] if self.pid else []
        if self.kernels:
            facts.append(f"{plural(self.kernels, 'kernel')}, {self.busy} busy")
        what = "The account's own service" if self.mode == "user" else "The server of ./run"
        return " ".join(filter(None, (what, f"({'; '.join(facts)})" if facts else "", self.url and f"at {self.url}")))

    def is_in_the_way(self, port: object) -> bool:
        """Whether a service that is to serve on this port would wait for it."""
        return self.runs and self.port in {0, port}


def find(account: Account, state: Path | None = None) -> Tried:
    """What there is in the account's own state directory, as the account sees it. OSError."""
    where = state or Path(account.home, STATE_BELOW_HOME)
    return as_account.ask(account, lambda: _look(where, Path(account.home)), Tried)


def keep(account: Account, tried: Tried, state: Path) -> tuple[str, ...]:
    """Copy password, certificates and the choice of environments to the state directory of the service, where it has
    none. What was copied, for a sentence. OSError.
    """
    return as_account.ask(account, lambda: _kept(Path(tried.state), state), tuple[str, ...])


def _kept(old: Path, new: Path) -> tuple[str, ...]:
    done = []
    hashed = login_store.read(old / "login.json").password_hash
    if hashed and not login_store.read_or_set_aside(new / "login.json").password_hash:
        login_store.set_password(new / "login.json", hashed)
        done.append("the password")
    if not any((new / "tls" / name).exists() for name in CERTIFICATES):
        found = {name: data for name in CERTIFICATES if (data := read_private(old / "tls" / name)) is not None}
        for name, data in found.items():
            kept.directory(new / "tls")
            kept.write(new / "tls" / name, data)
        done += ["the certificate"] if found else []
    if not (new / choices.FILE).exists():
        chosen, own = choices.read(old), old / "python"
        if not chosen.default and (own / "bin" / "python").exists():
            # A venv cannot be moved, and may be large: the service's notebooks go on in this one.
            chosen = chosen.adding(str(own)).choosing(str(own))
        if chosen != choices.Choices():
            choices.write(new, chosen)
            done.append(f"the Python environment of new notebooks, {chosen.default}")
    return tuple(done)


def _look(state: Path, home: Path) -> Tried:
    told = _document(state / "run" / "status.json")
    supervisor, urls = told.get("supervisor"), told.get("urls")
    runs = is_locked(state / "lock")
    return Tried(
        state=str(state),
        runs=runs,
        mode=str(told.get("mode", "")) if runs else "",
        url=str(urls[0]) if runs and isinstance(urls, list) and urls else "",
        pid=_number(supervisor.get("pid")) if runs and isinstance(supervisor, dict) else 0,
        kernels=_number(told.get("kernels")) if runs else 0,
        busy=_number(told.get("kernels_busy")) if runs else 0,
        password=bool(_document(state / "login.json").get("password_hash")),
        certificates=tuple(name for name in CERTIFICATES if (state / "tls" / name).is_file()),
        self_signed=(state / "tls" / "self-signed.pem").is_file(),
        environment=(state / "python" / "bin" / "python").exists(),
        settings=(home / ".config" / "jupyterd" / "jupyterd.toml").is_file(),
    )


def _document(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(read_untrusted(path))
        if isinstance(found, dict):
            return found
    return {}


def _number(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else 0
