"""`jupyterd cert new`: an authority of this machine's own. Devices trust it once; its certificates renew by themselves.

The certificate itself is made by the planner, as any later one will be.
"""

from __future__ import annotations

import argparse
import sys
import time

from jupyterd.cli.cert import context, trust
from jupyterd.cli.cert.context import CertContext
from jupyterd.linux import private_files
from jupyterd.tls import authority
from jupyterd.tls.authority import Authority

TROUBLE = 1


def main(args: argparse.Namespace) -> int:
    """Make one where there is none; say how to trust it, also when it was there already."""
    place = context.here(args.which)
    if context.configured(place):
        _say(
            f"nothing was made: the settings name {context.configured(place)}, which goes before everything else\n"
            "    take tls.certificate and tls.key out: jupyterd config show --origin says where they stand"
        )
        return TROUBLE
    if place.paths.installed.exists():
        _say("nothing was made: an installed certificate goes before it\n    jupyterd cert remove, then this again")
        return TROUBLE
    made = authority.read(place.paths.authority)
    if args.new_authority or not isinstance(made, Authority):
        if not isinstance(made, Authority) and not made.missing and not args.new_authority:
            _say(f"nothing was made: {made.text}\n    {made.advice}")
            return TROUBLE
        made = _found(place)
    code = _serve(place, made)
    print(trust.page(made, trust.link(place.urls)), end="")
    return code


def _found(place: CertContext) -> Authority:
    wanted = context.names(place)
    private_files.directory(place.paths.state)
    authority.found(place.paths.authority, wanted.names[0], wanted.names, wanted.addresses, time.time())
    made = authority.read(place.paths.authority)
    if not isinstance(made, Authority):
        raise OSError(f"{made.text}; {made.advice}")
    return made


def _serve(place: CertContext, made: Authority) -> int:
    """Wait until the server shows a certificate that this authority has signed."""
    if place.running is None or place.running.snapshot.certificate is None:
        print("Nothing is served over TLS now; from the next start on it will be with a certificate of this authority.")
        return 0
    served = context.until_served(
        place.running, lambda told: told.source == "local" and authority.has_signed(told.file, made, time.time())
    )
    if served is None:
        return TROUBLE
    print(f"Served now at {place.urls[0]}: {served.file}, for {', '.join(served.names)}")
    return 0


def _say(text: str) -> None:
    print(f"jupyterd: {text}", file=sys.stderr)
