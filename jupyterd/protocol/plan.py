"""The plan: what the supervisor is to run, as plain data from the short-lived planner process.

Made by planner/plan.py from the settings and a look at the machine; read by the supervisor, which knows no settings.
"""

from __future__ import annotations

import json
from dataclasses import asdict, field
from typing import Any

from jupyterd.protocol import documents
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.value import value

FORMAT = 1


@value
class Command:
    """A program to start: absolute argv[0], the whole environment, a working directory."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str


@value
class Listen:
    """One listening socket; `host` is a literal IPv4 or IPv6 address ("0.0.0.0", "::1"), port is never 0."""

    host: str
    port: int


@value
class Target:
    """One address that a user would type, resolved: what the probe connects to."""

    name: str
    """As typed in a browser: "localhost", "gpu.lan", "192.168.1.7", "2001:db8::1"."""
    address: str
    """A literal address to connect to (never a name: the supervisor does not resolve)."""
    port: int
    listener: int
    """Index into Plan.listen of the socket that answers on it."""
    needed: bool
    """One target per listening socket is needed for READY=1; it is the first of its socket."""


@value
class Certificate:
    """The pair on disk as the planner read it. Times are Unix seconds."""

    file: str
    sha256: str
    """Lower-case hex of the leaf's DER: what a probe compares the served certificate with."""
    not_before: float
    not_after: float
    names: tuple[str, ...]
    self_signed: bool
    source: str = "settings"
    """Where it comes from: "settings" (tls.certificate), "installed" (jupyterd cert install), "local" (signed by this
    machine's own authority, jupyterd cert new) or "self-signed".
    """


@value
class Trouble:
    """A problem in the form of a health item: stable code, what happened, what to type."""

    code: str
    text: str
    advice: str


@value
class Plan:
    """Everything that the supervisor needs; equal plans mean that nothing has changed."""

    version: str
    account: str
    mode: str
    """"service" (system unit), "user" (the account's own unit) or "foreground"."""
    state_dir: str
    runtime_dir: str
    listen: tuple[Listen, ...]
    targets: tuple[Target, ...]
    urls: tuple[str, ...]
    """What may be shown, best first: "https://gpu.lan:8888/". core/shown.py says which of them are."""
    base_url: str
    certificate: Certificate | None
    """None: plain HTTP was asked for."""
    server: Command
    server_key: str
    """Hash of all that a running server cannot change: another key means a restart."""
    live_key: str
    """Hash of what a running server reads again on Reload: certificate, password, token, logging."""
    sampler: Command | None
    """None: no NVIDIA driver, or switched off."""
    planner: Command
    """Makes the next plan; the same program that made this one."""
    ender: Command
    """Shuts down the kernels when the service is stopped (and leaves them alone in a restart)."""
    culler: Command | None = None
    """Ends the kernels whose ids are appended to it, with `--why` and the reason behind them."""
    policy: Policy = field(default_factory=Policy)
    waiting: tuple[Trouble, ...] = ()
    """What the machine lacks: while there is any, the server is not started, and another plan is made later."""
    warnings: tuple[Trouble, ...] = ()
    """Problems that do not keep the server from starting; shown as health items."""
    notes: tuple[str, ...] = ()
    """Lines for the journal at start and reload: "no NVIDIA driver: GPU lines are off"."""
    proofs: tuple[tuple[int, ...], ...] = ()
    """For each of `urls`, the targets (indexes) that must have answered before it is shown; without an entry: none."""
    present: tuple[str, ...] = ()
    """The machine's addresses when the plan was made (linux/interfaces.py); (): unknown."""


@value
class Refused:
    """The settings do not make a plan: every problem at once, each a whole line "file:line: what, allowed". `waiting`
    and `warnings`: what else the machine says to them, as in a Plan; not sent to the supervisor.
    """

    problems: tuple[str, ...]
    waiting: tuple[Trouble, ...] = ()
    warnings: tuple[Trouble, ...] = ()


def encode(made: Plan | Refused) -> bytes:
    """The plan or refusal as one JSON document."""
    kind, said = ("plan", asdict(made)) if isinstance(made, Plan) else ("refused", {"problems": made.problems})
    return json.dumps({"format": FORMAT, kind: said}).encode()


def decode(data: bytes) -> Plan | Refused:
    """The document back; ValueError says what is wrong with it."""
    try:
        document = documents.document(data)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r}, expected {FORMAT}")
        if "refused" in document:
            return Refused(tuple(document["refused"]["problems"]))
        return _plan(document["plan"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a plan: {type(error).__name__}: {error}") from error


def _plan(data: dict[str, Any]) -> Plan:
    data["listen"] = tuple(Listen(**each) for each in data["listen"])
    data["targets"] = tuple(Target(**each) for each in data["targets"])
    data["urls"] = tuple(data["urls"])
    if data["certificate"] is not None:
        names = tuple(data["certificate"].pop("names"))
        data["certificate"] = Certificate(**data["certificate"], names=names)
    for name in ("server", "planner", "ender"):
        data[name] = _command(data[name])
    for name in ("sampler", "culler"):
        data[name] = None if data[name] is None else _command(data[name])
    data["policy"] = Policy(**data["policy"])
    for name in ("waiting", "warnings"):
        data[name] = tuple(Trouble(**each) for each in data[name])
    data["notes"] = tuple(data["notes"])
    data["proofs"] = tuple(map(tuple, data.get("proofs", ())))
    data["present"] = tuple(data.get("present", ()))
    return Plan(**data)


def _command(data: dict[str, Any]) -> Command:
    env = tuple((str(name), str(value)) for name, value in data["env"])
    return Command(tuple(data["argv"]), env, data["cwd"])
