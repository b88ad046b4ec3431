"""`jupyterd cert new`: an authority of this machine's own. Devices trust it once; its certificates renew by themselves.

The certificate itself is made by the planner, as any later one will be.
"""

from __future__ import annotations

import argparse
import textwrap
import time

from jupyterd.cli._common import TROUBLE, Server, fail, find_server
from jupyterd.cli.cert import context
from jupyterd.linux import files, local_time
from jupyterd.text import fingerprint
from jupyterd.tls import authority
from jupyterd.tls.authority import Authority


def main(args: argparse.Namespace) -> int:
    """Make an authority if there is none, and print how devices come to trust it, even if it existed before."""
    server = find_server(args.which)
    if context.configured(server):
        return fail(
            f"nothing was changed: {context.configured(server)}, named in the settings, takes precedence\n"
            "    remove tls.certificate and tls.key; to see which file sets them: jupyterd config show --origin"
        )
    if server.paths.installed.exists():
        return fail(
            "nothing was changed: an installed certificate takes precedence\n    jupyterd cert remove, then this again"
        )
    made = authority.read(server.paths.authority)
    if args.new_authority or not isinstance(made, Authority):
        if not isinstance(made, Authority) and not made.missing and not args.new_authority:
            return fail(f"nothing was changed: {made.text}\n    {made.advice}")
        made = _found(server)
    code = _serve(server, made)
    print(trust_page(made, link(server.urls)), end="")
    return code


def _found(server: Server) -> Authority:
    wanted = context.names(server)
    files.private_directory(server.paths.state)
    authority.found(server.paths.authority, wanted.names[0], wanted.names, wanted.addresses, time.time())
    made = authority.read(server.paths.authority)
    if not isinstance(made, Authority):
        raise OSError(f"{made.text}; {made.advice}")
    return made


def _serve(server: Server, made: Authority) -> int:
    """Wait until the server shows a certificate that this authority has signed."""
    if server.running is None or server.running.snapshot.certificate is None:
        print("No server serves over TLS now; the next start will use a certificate from this authority.")
        return 0
    served = context.until_served(
        server.running, lambda told: told.source == "local" and authority.has_signed(told.file, made, time.time())
    )
    if served is None:
        return TROUBLE
    print(f"{server.running.snapshot.where} now serves {served.file}, for {', '.join(served.names)}")
    return 0


FILE = "jupyterd-ca.crt"
_STEPS = (
    ("Debian, Ubuntu", "sudo cp {file} /usr/local/share/ca-certificates/ && sudo update-ca-certificates"),
    ("Fedora, RHEL", "sudo cp {file} /etc/pki/ca-trust/source/anchors/ && sudo update-ca-trust"),
    (
        "Chrome on Linux",
        "Settings, Privacy and security, Security, Manage certificates, Custom (or: Authorities), Import: {file}",
    ),
    (
        "macOS",
        (
            "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {file}"
            "  (or open the file, then in Keychain Access: Trust, Always Trust)"
        ),
    ),
    ("Windows", "as administrator: certutil -addstore -f Root {file}"),
    (
        "Firefox",
        (
            "Settings, Privacy & Security, Certificates, View Certificates, Authorities, Import: {file},"
            " tick `identify websites` (on Windows and macOS it uses the list of the system)"
        ),
    ),
    (
        "iPhone, iPad",
        (
            "open the link in Safari and allow the download; Settings, Profile Downloaded, Install; then Settings,"
            " General, About, Certificate Trust Settings: switch it on. Without the last step it has no effect"
        ),
    ),
    (
        "Android",
        (
            "open the link, save the file; Settings, Security, Encryption & credentials, Install a certificate,"
            " CA certificate"
        ),
    ),
)


def link(urls: tuple[str, ...]) -> str | None:
    """The URL at which devices can download the authority's certificate without a login; None without TLS."""
    return f"{urls[0].rstrip('/')}/jupyterd/ca.crt" if urls and urls[0].startswith("https:") else None


def trust_page(authority: Authority, url: str | None) -> str:
    """What `cert new` prints: the authority, its fingerprint, and the steps for each system."""
    until = local_time.day(authority.not_after)
    first, *rest = fingerprint(authority.sha256)
    lines = [
        "",
        f"The authority of this machine, {authority.name!r}, valid until {until}. SHA-256:",
        "",
        f"    {first}",
        *(f"    {line}" for line in rest),
        "",
        f"Save this as {FILE}:",
        "",
        *authority.certificate.splitlines(),
        "",
    ]
    if url is not None:
        lines += [f"Or download it on a device, without a login:  {url}"]
    lines += [
        "Or copy it to another computer:  ssh THIS-MACHINE jupyterd cert show --authority > " + FILE,
        "Compare the SHA-256 before you trust it. Then, on each device that should trust this server:",
        "",
    ]
    for system, step in _STEPS:
        text = step.format(file=FILE)
        whole = f"  {system:<16} {text}"
        # A line to type is not wrapped.
        typed = "sudo " in text or "certutil" in text
        lines += [whole] if typed else textwrap.wrap(whole, 110, subsequent_indent=" " * 19)
    lines += [
        "",
        "Its certificates renew automatically; you do this once per device. It can sign only for the names of this",
        "machine and for private addresses. More: docs/certificates.md",
        "",
    ]
    return "\n".join(lines)
