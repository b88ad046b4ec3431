"""What every examination starts from: which server is meant, whose it is, its settings as far as they are valid, and
what its supervisor last reported. Reads settings and state only; nothing here waits for a network disk.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from jupyterd.cli import _common
from jupyterd.cli._common import Which
from jupyterd.cli.status import beside, read
from jupyterd.cli.status.beside import Beside
from jupyterd.cli.status.read import Nothing, ServerStatus
from jupyterd.environments import choices
from jupyterd.linux import interfaces
from jupyterd.linux.accounts import account
from jupyterd.planner import addresses, plan
from jupyterd.protocol.plan import Listen
from jupyterd.settings import load
from jupyterd.settings.paths import Paths
from jupyterd.settings.problems import Invalid
from jupyterd.settings.schema import Settings


@attrs.frozen
class Subject:
    """The server that is examined."""

    paths: Paths
    asked: plan.Ask
    settings: Settings
    """Defaults stand for what is invalid."""
    running: ServerStatus | None
    nothing: Nothing
    """What was found where no server runs."""
    services: tuple[Beside, ...]
    deep: bool

    @property
    def is_installed(self) -> bool:
        """Whether there is a service, or a state of an earlier run."""
        return any(each.unit is not None for each in self.services) or self.paths.state.exists()

    @property
    def base(self) -> ServerFacts:
        """Where it listens: as it runs, else as the settings say."""
        server, tls = self.settings.server, self.settings.tls.enabled
        port, scheme = server.port, "https" if tls else "http"
        listen = addresses.listeners(server, addresses.Interfaces((), (), ipv6=_ipv6()))
        if self.running is not None and (urls := [each.url for each in self.running.snapshot.addresses]):
            parts = urlsplit(urls[0])
            port, scheme = parts.port or (443 if parts.scheme == "https" else 80), parts.scheme
            listen = tuple(Listen(each.host, port) for each in listen)
            if self.paths.mode == "foreground":  # options on the command line are in no settings file
                listen = _as_it_runs(tuple(each.name for each in self.running.snapshot.addresses), port) or listen
        ours = () if self.running is None else (self.running.supervisor, self.running.server, self.running.spare)
        pids = tuple(each.process.pid for each in ours if each is not None)
        name, uid = self.asked.account.name, self.asked.account.uid
        return ServerFacts(listen, port, scheme, server.base_url, name, uid, self.paths.mode, pids)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What root has to know of the server, from the account's own process."""

    listen: tuple[Listen, ...]
    port: int
    scheme: str
    base_url: str
    account: str
    uid: int
    mode: str
    pids: tuple[int, ...]
    """Of supervisor and server; () while none runs."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The literal addresses that it listens on."""
        return tuple(each.host for each in self.listen)


def look(which: Which | None, *, deep: bool) -> Subject:
    """Find the server and read its settings. Invalid for an environment that names no place."""
    environ, uid = os.environ, os.geteuid()
    where = _common.places(which, environ, uid)
    found = read.look(_common.snapshots(where))
    running = found if isinstance(found, ServerStatus) else None
    here = _common.server_of(running, where).paths if running else where[0]
    who = account(uid, environ, service=here.mode == "service")
    asked = plan.Ask((), load.sources(here.mode, None, environ, {}, who), environ, here, who)
    nothing = found if isinstance(found, Nothing) else Nothing()
    return Subject(here, asked, _settings(asked), running, nothing, beside.look(where), deep)


def default_environment(what: Subject) -> Path:
    """The Python environment of new notebooks."""
    named = what.settings.kernels.environment or choices.seen(what.paths.state).default
    return Path(named) if named else what.paths.kernel_environment


def _settings(asked: plan.Ask) -> Settings:
    try:
        return load.load(asked.sources).settings
    except Invalid as invalid:
        if invalid.known is not None:
            return invalid.known.settings
        nothing = attrs.evolve(asked.sources, places=(), credentials=None, environ={}, overrides={})
        return load.load(nothing).settings


def _ipv6() -> bool:
    return any(":" in each for each in interfaces.present())


def _as_it_runs(names: tuple[str, ...], port: int) -> tuple[Listen, ...]:
    return tuple(Listen(each, port) for each in names if each[:1].isdigit() or ":" in each)
