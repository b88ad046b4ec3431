"""What ./run, ./install and `jupyterd token` print: addresses, fingerprint, how to log in, an ssh tunnel. Pure text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, assert_never
from urllib.parse import urlsplit

import attrs

from jupyterd.cli.ssh import SshTarget
from jupyterd.linux import local_time
from jupyterd.protocol.banner import BEST, DEEPER, INDENT, TUNNEL_END, URLS, WHEN, fill
from jupyterd.protocol.plan import Certificate, Plan
from jupyterd.protocol.status import Snapshot
from jupyterd.text import fingerprint

IN = INDENT
COLUMNS = 80
OWN = "self-signed"
"""Certificate.source of the one that jupyterd makes by itself."""


@attrs.frozen
class Token:
    """A one-time token that nobody has used yet. `does`: sets the first password, or a new one for a forgotten one,
    or only logs in, once, because the settings fix the password.
    """

    token: str
    does: Literal["first", "resets", "once"] = "first"


@attrs.frozen
class Password:
    """A password is set."""


@attrs.frozen
class OwnToken:
    """The settings hold a lasting token of the user's own, and no password."""


@attrs.frozen
class TokenHidden:
    """A one-time token is needed, and this is no terminal to show it on."""


Login = Token | Password | OwnToken | TokenHidden


@attrs.frozen
class Served:
    """What is served: addresses, at least one, best first, and the certificate (None: plain HTTP)."""

    urls: tuple[str, ...]
    certificate: Certificate | None
    foreground: bool


def of_plan(plan: Plan) -> Served:
    """From the plan."""
    return Served(plan.urls, plan.certificate, plan.mode == "foreground")


def of_snapshot(snapshot: Snapshot) -> Served:
    """From the status snapshot. Never `foreground`: its hint is for the terminal that the server runs in."""
    return Served(snapshot.urls, snapshot.certificate, foreground=False)


def text(served: Served, login: Login, ssh: SshTarget, command: str = "jupyterd") -> str:
    """The whole banner, an empty line before and after it. `command` is how this program is typed."""
    return fill(template(served, login, ssh, command), served.urls)


def template(served: Served, login: Login, ssh: SshTarget, command: str = "jupyterd") -> str:
    """The same with the URLs left open, for the supervisor to fill in (protocol/banner.py)."""
    lines = ["", *_tunnel(served.urls, ssh)]
    if served.certificate is not None:
        lines += ["", *_trust(served.certificate, command)]
    if served.foreground:
        lines += ["", f"{IN}Press Ctrl-C to stop the server. Closing this terminal does not stop it."]
        lines += _hint("To see whether it works", f"{command} status")
    lines += ["", f"{IN}Jupyter is ready. Open", "", URLS, "", *_login(login, command)]
    return "\n".join(lines) + "\n\n"


def _hint(words: str, typed: str) -> list[str]:
    """What to type, on a line of its own where a terminal would break the line."""
    line = f"{IN}{words}: {typed}"
    return [line] if len(line) < COLUMNS else [f"{IN}{words}:", f"{DEEPER}{typed}"]


def _login(login: Login, command: str) -> Iterator[str]:
    match login:
        case Token(token=token, does=does):
            match does:
                case "first":
                    yield f"{IN}The first time, log in with this token or link (it works once) and choose"
                    yield f"{IN}a password:"
                case "resets":
                    yield f"{IN}A password is set and stays valid. If you have forgotten it, choose a new one"
                    yield f"{IN}with this token or link (it works once):"
                case "once":
                    yield f"{IN}This token or link logs you in once. It cannot set a password: the settings"
                    yield f"{IN}fix it."
            # After the #: browsers do not send that part, so no server or proxy logs it.
            yield from ("", f"{DEEPER}{token}", f"{DEEPER}{BEST}/login#token={token}")
        case Password():
            yield from _hint("Log in with your password. If you have forgotten it", f"{command} token")
        case OwnToken():
            yield f"{IN}Log in with the token from your settings (login.token)."
        case TokenHidden():
            yield from _hint("To log in for the first time, type in a terminal", f"{command} token")
        case _:
            assert_never(login)


def _trust(pair: Certificate, command: str) -> Iterator[str]:
    first, *rest = fingerprint(pair.sha256)
    if pair.self_signed:
        if pair.source == OWN:
            yield f"{IN}Your browser will warn you that the certificate is self-signed. If it shows"
        else:
            yield f"{IN}Your certificate ({pair.file})"
            yield f"{IN}is self-signed, so browsers that do not know it warn about it. If yours shows"
        yield f"{IN}this SHA-256 fingerprint, continue (Advanced, then Proceed or Accept):"
    else:
        until = local_time.day(pair.not_after)
        yield f"{IN}The certificate ({pair.file},"
        yield f"{IN}valid until {until}) has the SHA-256 fingerprint"
    yield from ("", f"{DEEPER}{first}", *(f"{DEEPER}{line}" for line in rest))
    if pair.self_signed and pair.source == OWN:
        yield from ("", *_hint("To get rid of the warning, on phones and tablets too", f"{command} cert new"))


def _tunnel(urls: tuple[str, ...], ssh: SshTarget) -> Iterator[str]:
    parts = urlsplit(urls[0])  # scheme, port and path are those of every URL
    port = parts.port or (443 if parts.scheme == "https" else 80)
    here, command = ssh.tunnel(TUNNEL_END, port)
    yield from (WHEN, "", f"{DEEPER}{command}", "")
    yield f"{IN}keep it running, and open  {parts.scheme}://localhost:{here}{parts.path}"
    if ssh.note:
        yield f"{IN}({ssh.note})"
