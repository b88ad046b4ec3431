"""Whose certificate it is, whether its server runs, and how that is told and watched until it serves another one.

Root becomes the account before it touches a file of it.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from jupyterd.cli import token, which_server
from jupyterd.cli.status.read import ServerStatus, look, standing
from jupyterd.launch import identity
from jupyterd.linux.accounts import account
from jupyterd.planner import addresses
from jupyterd.protocol.plan import Certificate
from jupyterd.settings import load
from jupyterd.settings.paths import Paths
from jupyterd.settings.problems import Invalid

SERVED_TIMEOUT_S = 60.0
"""The planner (settings, a look at the machine), the server's own reload, and a busy machine."""
CONNECT_TIMEOUT_S = 5.0
LOOK_EVERY_S = 0.2


@attrs.frozen
class CertContext:
    """`running` is the snapshot of the supervisor that is there now."""

    paths: Paths
    running: ServerStatus | None

    @property
    def urls(self) -> tuple[str, ...]:
        """Best first; () while nothing runs."""
        return () if self.running is None else self.running.snapshot.urls


def here(which: which_server.Which | None) -> CertContext:
    """Find it, and be its account from now on. PermissionError when it is another account's."""
    where = which_server.places(which, os.environ, os.geteuid())
    if os.geteuid() == 0 and where[0].state.is_dir():
        where = where[:1]
        _become(where[0].state.stat())
    found = look(which_server.snapshots(where))
    if isinstance(found, ServerStatus):
        mode = next((each.mode for each in where if each.status == found.file), where[0].mode)
        return CertContext(Paths(mode=mode, state=Path(found.snapshot.state_dir), runtime=found.file.parent), found)
    if found.denied:
        raise PermissionError("the server of this machine belongs to another account: type it with sudo")
    return CertContext(where[0], None)


def _become(owner: os.stat_result) -> None:
    """With the account's own home: settings are looked for there, too."""
    uid = owner.st_uid
    if uid == os.geteuid():
        return
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:  # a number without a name, as containers have them
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(uid)
        os.environ["HOME"] = "/"
    else:
        token.become(uid)
        os.environ.update(HOME=entry.pw_dir, USER=entry.pw_name, LOGNAME=entry.pw_name)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        os.environ.pop(name, None)


@attrs.frozen
class Names:
    """What a certificate has to be for: host names, and addresses that the machine happens to have."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    configured: str
    """tls.certificate; "" where none is set."""


def names(place: CertContext) -> Names:
    """By the settings on disk and by what the running server shows. Invalid when the settings are refused."""
    mode, environ = place.paths.mode, os.environ
    who = account(os.geteuid(), environ, service=mode == "service")
    settings = load.load(load.sources(mode, None, environ, {}, who)).settings
    hosts, literal = addresses.certificate_names(settings.server, addresses.look(settings.server))
    shown = [urlsplit(url).hostname or "" for url in place.urls]
    return Names(tuple(dict.fromkeys([*hosts, *filter(None, shown)])), literal, settings.tls.certificate)


def configured(place: CertContext) -> str:
    """The file that the settings name, which goes before everything else; "" if they name none."""
    told = None if place.running is None else place.running.snapshot.certificate
    if told is not None:
        return told.file if told.source == "settings" else ""
    try:
        return names(place).configured
    except Invalid:
        return ""


def tell(running: ServerStatus) -> bool:
    """SIGHUP to exactly this supervisor: it makes another plan. False when it is gone."""
    told = running.snapshot.supervisor
    pidfd = identity.open_pidfd(identity.Identity(told.pid, told.started, identity.boot_id()))
    if pidfd is None:
        return False
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGHUP)
    finally:
        os.close(pidfd)
    return True


def until_served(running: ServerStatus, wanted: Callable[[Certificate], bool]) -> Certificate | None:
    """Tell it, then wait until a client is shown such a certificate; None, with the reason printed, when it is not."""
    if not tell(running):
        _say("the server has just ended: what is on disk is used at its next start")
        return None
    deadline = time.monotonic() + SERVED_TIMEOUT_S
    now = running
    while time.monotonic() < deadline:
        try:
            now = standing(running.file)
        except (OSError, ValueError):
            break
        if now.life == "gone":
            break
        told = now.snapshot.certificate
        if told is not None and wanted(told) and shown(now) == told.sha256:
            return told
        time.sleep(LOOK_EVERY_S)
    _say(f"it is on disk, and not served after {SERVED_TIMEOUT_S:.0f} s")
    for item in now.snapshot.items:
        _say(f"{item.text}  (type: {item.advice})")
    return None


def shown(running: ServerStatus) -> str | None:
    """SHA-256 of the certificate that a client is shown now, on the first address that answers."""
    for url in [*(each.url for each in running.snapshot.addresses if each.ok), *running.snapshot.urls]:
        parts = urlsplit(url)
        if parts.scheme == "https" and parts.hostname:
            try:
                return fingerprint(parts.hostname, parts.port or 443)
            except OSError:
                continue
    return None


def fingerprint(host: str, port: int) -> str:
    """What is shown there; OSError when nobody answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, port), CONNECT_TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        return hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()


def _say(text: str) -> None:
    print(f"jupyterd: {text}", file=sys.stderr)
