"""What a certificate must be for, and waiting until the running server serves another one."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import attrs

from jupyterd.cli._common import Server, say, tell
from jupyterd.cli.status.read import ServerStatus, standing
from jupyterd.linux.accounts import account
from jupyterd.planner import addresses
from jupyterd.protocol.plan import Certificate
from jupyterd.settings import load
from jupyterd.settings.problems import Invalid

SERVED_TIMEOUT_S = 60.0
"""The planner (settings, a look at the machine), the server's own reload, and a busy machine."""
CONNECT_TIMEOUT_S = 5.0
LOOK_EVERY_S = 0.2


@attrs.frozen
class Names:
    """What a certificate has to be for: host names, and addresses that the machine happens to have."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    configured: str
    """tls.certificate; "" where none is set."""


def names(server: Server) -> Names:
    """From the settings on disk and the addresses of the running server. Raises Invalid if the settings are invalid."""
    mode, environ = server.paths.mode, os.environ
    who = account(os.geteuid(), environ, service=mode == "service")
    settings = load.load(load.sources(mode, None, environ, {}, who)).settings
    hosts, literal = addresses.certificate_names(settings.server, addresses.look(settings.server))
    shown = [urlsplit(url).hostname or "" for url in server.urls]
    return Names(tuple(dict.fromkeys([*hosts, *filter(None, shown)])), literal, settings.tls.certificate)


def configured(server: Server) -> str:
    """The file that the settings name, which takes precedence over every other; "" if they name none."""
    told = None if server.running is None else server.running.snapshot.certificate
    if told is not None:
        return told.file if told.source == "settings" else ""
    try:
        return names(server).configured
    except Invalid:
        return ""


def until_served(running: ServerStatus, wanted: Callable[[Certificate], bool]) -> Certificate | None:
    """Send SIGHUP, then wait until clients get a certificate for which `wanted` is true. None, with the reason printed,
    if they do not get one within SERVED_TIMEOUT_S.
    """
    if not tell(running):
        say("the server has just stopped; it will use the new files at its next start")
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
    say(f"the new certificate is on disk, but the server still does not serve it after {SERVED_TIMEOUT_S:.0f} s")
    for item in now.snapshot.items:
        say(f"{item.text}\n    {item.advice}")
    return None


def shown(running: ServerStatus) -> str | None:
    """SHA-256 (hex) of the certificate that clients get now, from the first address that answers; None if none does."""
    for url in [*(each.url for each in running.snapshot.addresses if each.ok), *running.snapshot.urls]:
        parts = urlsplit(url)
        if parts.scheme == "https" and parts.hostname:
            try:
                return fingerprint(parts.hostname, parts.port or 443)
            except OSError:
                continue
    return None


def fingerprint(host: str, port: int) -> str:
    """SHA-256 (hex) of the certificate that the server at this address presents. OSError if nothing answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, port), CONNECT_TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        return hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()
