"""`jupyterd cert acme`: certbot has the account, answers the challenge and renews; each new certificate is installed.

What root's certbot runs must be root's: then the hook is the installed program and everything else lies outside the
account's reach.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from jupyterd.cli import _common
from jupyterd.cli._common import TROUBLE, USAGE, fail, say
from jupyterd.cli.cert import install
from jupyterd.cli.setup import unit_files
from jupyterd.linux import accounts, unit_file

LINEAGE = "jupyterd"
"""certbot's name for it: one, whatever the domains, so that no older one is renewed and installed over it."""
CERTBOT_TIMEOUT_S = 600.0
VENV_TIMEOUT_S = 900.0
ROOTS = Path("/etc/letsencrypt")
ROOTS_VENV = Path("/opt/jupyterd-certbot")
"""Owned by root. Not under /opt/jupyterd, where an upgrade removes every version that is not in use."""


@attrs.frozen
class Certbot:
    """`options`: where certbot keeps its files; () for root, whose certbot timer then renews this certificate too."""

    program: str
    options: tuple[str, ...]
    config: Path
    packaged: bool


def main(args: argparse.Namespace) -> int:
    """Get the certificate, set up its renewal, install it."""
    return obtain(args) or install.main(args)


def obtain(args: argparse.Namespace) -> int:
    """Get the certificate and set up its renewal; then `args` are those of `cert install`."""
    if not args.agree_tos and not sys.stdin.isatty():
        return fail(
            "there is no terminal to ask about the terms of service: read them, then add --agree-tos",
            USAGE,
        )
    problem = _unfit(args)
    if problem is not None:
        return fail(problem)
    certbot = _certbot(_common.places(args.which, os.environ, os.geteuid())[0].acme)
    if certbot is None:
        return TROUBLE
    argv = [certbot.program, *request(certbot, args, hook(args.which, os.environ))]
    say(shlex.join(argv))
    done = subprocess.run(argv, check=False, timeout=CERTBOT_TIMEOUT_S)
    if done.returncode:
        return fail(
            f"certbot got no certificate; see its output above\n"
            f"    http://{args.domain[0]}/ (port 80) must reach this machine from the internet"
        )
    print(ensure_renewal(certbot.program, certbot.options, packaged=certbot.packaged and os.geteuid() == 0))
    live = certbot.config / "live" / LINEAGE
    # certbot has run the hook, unless it kept a certificate that it had; and it does not fail if the hook fails.
    args.what, args.files = "install", [live / "fullchain.pem", live / "privkey.pem"]
    return 0


def request(certbot: Certbot, args: argparse.Namespace, hook: str) -> list[str]:
    """The options of certbot."""
    challenge = (
        ["--webroot", "--webroot-path", str(args.webroot)]
        if args.webroot
        else ["--standalone", "--http-01-port", str(args.http_port)]
    )
    agreed = ["--agree-tos", "--non-interactive"] if args.agree_tos else []
    domains = [each for domain in args.domain for each in ("--domain", domain)]
    server = ["--server", args.server] if args.server else []
    return [
        "certonly", *certbot.options, *challenge, "--cert-name", LINEAGE, *domains, "--renew-with-new-domains",
        "--email", args.email, "--no-eff-email", *agreed, "--keep-until-expiring", *server, "--deploy-hook", hook,
    ]  # fmt: skip


def hook(which: _common.Which | None, environ: Mapping[str, str]) -> str:
    """What certbot runs after each renewal; it names the new files in $RENEWED_LINEAGE."""
    state = environ.get("JUPYTERD_STATE_DIR")
    before = f"env JUPYTERD_STATE_DIR={shlex.quote(os.path.abspath(state))} " if state else ""  # noqa: PTH100 - as it was typed, links and all
    flag = f" --{which}" if which else ""
    program = shlex.quote(str(_program()))
    return f'{before}{program} cert install{flag} "$RENEWED_LINEAGE/fullchain.pem" "$RENEWED_LINEAGE/privkey.pem"'


def _program() -> Path:
    """The path of the command, one that stays valid after an upgrade."""
    if Path(sys.prefix).is_relative_to(unit_files.CURRENT.parent) and unit_files.COMMAND.exists():
        return unit_files.COMMAND
    return Path(sys.prefix, "bin", "jupyterd")


def _unfit(args: argparse.Namespace) -> str | None:
    """Why the request cannot succeed, or None. Checked first, because authorities count failed requests."""
    if os.geteuid() == 0:
        return _unfit_for_root(args.webroot)
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text("ascii"))
    if args.webroot is None and args.http_port < first:
        return (
            f"the challenge comes over port {args.http_port}, which only root may use: use sudo,\n"
            "    or give --webroot DIR of the web server on that port, or --http-port N if a router forwards to it"
        )
    return None


def _unfit_for_root(webroot: Path | None) -> str | None:
    who = accounts.master_of(_program())
    if who is not None:
        return (
            f"root's certbot would run {_program()}, which {who.name} can change\n"
            "    install jupyterd for root (sudo ./install), then type: sudo jupyterd cert acme"
        )
    who = None if webroot is None else accounts.master_of(webroot)
    if who is not None and who.uid >= _FIRST_PERSON:
        return (
            f"root's certbot would write into {webroot}, where {who.name} can create links\n"
            "    give a directory of root's or of the web server's, or no --webroot"
        )
    return None


def _certbot(own: Path) -> Certbot | None:
    """The certbot of the distribution, else one in its own virtual environment; None if it cannot be installed."""
    root = os.geteuid() == 0
    config = ROOTS if root else own / "config"
    options = () if root else (
        "--config-dir", str(config), "--work-dir", str(own / "work"), "--logs-dir", str(own / "logs")
    )  # fmt: skip
    packaged = shutil.which("certbot")
    if packaged:
        return Certbot(packaged, options, config, packaged=True)
    venv = ROOTS_VENV if root else own / "certbot"
    program = venv / "bin" / "certbot"
    if not program.exists() and not _install(venv):
        return None
    return Certbot(str(program), options, config, packaged=False)


def _install(venv: Path) -> bool:
    say("certbot is not installed; installing it from PyPI into its own environment ...")
    base = getattr(sys, "_base_executable", None) or sys.executable
    for argv in (
        [base, "-I", "-m", "venv", "--clear", str(venv)],
        [str(venv / "bin" / "python"), "-I", "-m", "pip", "install", "--quiet", "certbot"],
    ):
        if subprocess.run(argv, check=False, timeout=VENV_TIMEOUT_S).returncode:
            shutil.rmtree(venv, ignore_errors=True)
            say("certbot could not be installed\n    sudo apt install certbot   (or dnf), then run this again")
            return False
    return True


NAME = "jupyterd-acme"
_TIMEOUT_S = 30.0
_FIRST_PERSON = 1000
"""Of adduser.conf(5): below are accounts of the system's, such as the web server's."""
_PACKAGED = "certbot.timer"


def service(program: str, options: Sequence[str]) -> str:
    """The unit that the timer starts."""
    argv = (program, "--quiet", *options, "renew", "--no-random-sleep-on-renew")
    return unit_file.text(
        (
            "# Written by jupyterd cert acme.",
            "[Unit]",
            "Description=Renew the certificate of jupyterd",
            "",
            "[Service]",
            "Type=oneshot",
            unit_file.command("ExecStart", argv),
        )
    )


def timer() -> str:
    """Twice a day, at a random minute; a run that was missed while the machine was off follows at the next boot
    (systemd.timer(5)).
    """
    return unit_file.text(
        (
            "# Written by jupyterd cert acme.",
            "[Unit]",
            "Description=Renew the certificate of jupyterd, twice a day",
            "",
            "[Timer]",
            "OnCalendar=*-*-* 00,12:00:00",
            "RandomizedDelaySec=12h",
            "Persistent=true",
            "",
            "[Install]",
            "WantedBy=timers.target",
        )
    )


def ensure_renewal(program: str, options: Sequence[str], *, packaged: bool) -> str:
    """Have `certbot renew` run twice a day. Returns a sentence that says by what, or what to type."""
    if not Path("/run/systemd/system").exists():
        line = shlex.join([program, "--quiet", *options, "renew"])
        return (
            "This machine does not run systemd. To renew the certificate, add this line with crontab -e:\n"
            f"    17 3,15 * * * {line}"
        )
    root = os.geteuid() == 0
    manager = ["systemctl"] if root else ["systemctl", "--user"]
    name = _PACKAGED if packaged else f"{NAME}.timer"
    if not packaged:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        units = Path("/etc/systemd/system") if root else home / "systemd" / "user"
        unit_files.put(units / f"{NAME}.service", service(program, options), uid=-1, gid=-1)
        unit_files.put(units / f"{NAME}.timer", timer(), uid=-1, gid=-1)
    for argv in ([*manager, "daemon-reload"], [*manager, "enable", "--now", name]):
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S)
        if done.returncode:
            return f"The renewal timer could not be started: {done.stderr.strip()}\n    {shlex.join(argv)}"
    linger = "" if root else "; to renew it while you are logged out too: loginctl enable-linger"
    return (
        f"{name} renews the certificate; to see when: systemctl{'' if root else ' --user'} list-timers {name}{linger}"
    )
