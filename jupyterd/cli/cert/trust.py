"""How to make each kind of device trust this machine's own authority. Pure text."""

from __future__ import annotations

import textwrap

from jupyterd.linux import local_time
from jupyterd.text import fingerprint
from jupyterd.tls.authority import Authority

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
            " tick `identify websites` (on Windows and macOS it takes the system's list by itself)"
        ),
    ),
    (
        "iPhone, iPad",
        (
            "open the link in Safari and allow the download; Settings, Profile Downloaded, Install; then Settings,"
            " General, About, Certificate Trust Settings: switch it on. Without the last step nothing changes"
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
    """Where the file can be fetched, without a login."""
    return f"{urls[0].rstrip('/')}/jupyterd/ca.crt" if urls and urls[0].startswith("https:") else None


def page(authority: Authority, url: str | None) -> str:
    """The whole text."""
    until = local_time.day(authority.not_after)
    first, *rest = fingerprint(authority.sha256)
    lines = [
        "",
        f"This machine's own authority, {authority.name!r}, until {until}. SHA-256:",
        "",
        f"    {first}",
        *(f"    {line}" for line in rest),
        "",
        f"Its file, {FILE}:",
        "",
        *authority.certificate.splitlines(),
        "",
    ]
    if url is not None:
        lines += [f"The same for a browser or a phone, without a login:  {url}"]
    lines += [
        "Or from another computer:  ssh THIS-MACHINE jupyterd cert show --authority > " + FILE,
        "Compare the SHA-256 before you trust it. Then, on each device that is to trust this server:",
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
        "Its certificates are renewed by themselves; no device has to be told again. It may sign for this machine's",
        "names and for private addresses alone. More: docs/certificates.md",
        "",
    ]
    return "\n".join(lines)
