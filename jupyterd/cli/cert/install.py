"""`jupyterd cert install` and `remove`: one private file, which takes precedence over certificates that jupyterd makes.

Also the deploy hook of `jupyterd cert acme`.
"""

from __future__ import annotations

import argparse
import time
from urllib.parse import urlsplit

from jupyterd.cli._common import TROUBLE, Server, fail, find_server, say
from jupyterd.cli.cert import context
from jupyterd.linux import files, kept, local_time
from jupyterd.text import expiry, fingerprint
from jupyterd.tls import collect
from jupyterd.tls.collect import Collected
from jupyterd.tls.handshake import Leaf
from jupyterd.tls.key_pair import PairProblem


def main(args: argparse.Namespace) -> int:
    """Check the certificate, put it in place, and wait until the server presents it."""
    if args.what == "remove":
        return _remove(find_server(args.which))
    found = collect.collect(args.files, time.time(), args.read)
    if isinstance(found, PairProblem):
        return fail(f"not installed: {found.text}\n    {found.advice}")
    server = find_server(args.which)
    _put(server, found)
    for each in (*found.remarks, *_names(server, found.leaf)):
        say(f"{each.text}\n    {each.advice}")
    return _serve(server, found.leaf)


def _put(server: Server, found: Collected) -> None:
    files.private_directory(server.paths.state)
    kept.directory(server.paths.installed.parent)
    kept.write(server.paths.installed, found.pem)


def _serve(server: Server, leaf: Leaf) -> int:
    _describe(leaf)
    if context.configured(server):
        return fail(
            f"installed, but not served: the settings name {context.configured(server)}, which takes precedence\n"
            "    remove tls.certificate and tls.key; to see which file sets them: jupyterd config show --origin"
        )
    if server.running is None:
        print("Installed. No server runs now; the next start will use it.")
        return 0
    if server.running.snapshot.certificate is None:
        return fail("installed, but not served: tls.enabled is false, so this server speaks plain HTTP")
    if context.until_served(server.running, lambda told: told.sha256 == leaf.sha256) is None:
        return TROUBLE
    print(f"Installed. {server.running.snapshot.where} now serves it.")
    return 0


def _names(server: Server, leaf: Leaf) -> list[PairProblem]:
    """A warning if the certificate covers none of the names under which the server is shown."""
    known = {urlsplit(url).hostname or "" for url in server.urls}
    if (
        not known
        or not leaf.names
        or known & set(leaf.names)
        or any(f"*.{each.partition('.')[2]}" in leaf.names for each in known)
    ):
        return []
    name = next((each for each in leaf.names if not each.startswith("*")), "NAME")
    shown = ", ".join(sorted(known))
    return [
        PairProblem(
            f"the certificate is for {', '.join(leaf.names)}, but the addresses of this server are {shown}",
            f'to show and probe the right name: [server] names = ["{name}"] in jupyterd.toml',
        )
    ]


def _describe(leaf: Leaf) -> None:
    print(f"Certificate for {', '.join(leaf.names) or 'no host'}")
    print(f"  {expiry(leaf.not_after - time.time(), local_time.day(leaf.not_after))}")
    for number, line in enumerate(fingerprint(leaf.sha256)):
        print(f"  {'SHA-256' if not number else '       '}  {line}")


def _remove(server: Server) -> int:
    if not server.paths.installed.exists():
        return fail("no certificate is installed; to see what is served: jupyterd cert show")
    server.paths.installed.unlink()
    print(f"Removed {server.paths.installed}")
    if server.running is None or server.running.snapshot.certificate is None or context.configured(server):
        return 0
    served = context.until_served(server.running, lambda told: told.source != "installed")
    if served is None:
        return TROUBLE
    print(f"{server.running.snapshot.where} now serves {served.file}")
    return 0
