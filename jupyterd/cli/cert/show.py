"""`jupyterd cert show`: what is served, what lies on disk, and what some clients may object to."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jupyterd.cli._common import TROUBLE, Server, fail, find_server
from jupyterd.cli.cert import context, new
from jupyterd.linux import local_time
from jupyterd.text import expiry, fingerprint, plural
from jupyterd.tls import authority, check, files, handshake
from jupyterd.tls.authority import Authority
from jupyterd.tls.check import Pair

SOURCES = {
    "settings": "named in the settings (tls.certificate)",
    "installed": "installed (jupyterd cert install)",
    "local": "signed by the authority of this machine (jupyterd cert new)",
    "self-signed": "self-signed, made automatically",
}
LABEL = 13


def main(args: argparse.Namespace) -> int:
    """0 when a valid certificate is served, else 1."""
    server = find_server(args.which)
    if args.authority:
        return _authority(server)
    told = document(server)
    print(json.dumps(told, indent=1) if args.json else page(told), end="\n" if args.json else "")
    return 0 if told["ok"] else TROUBLE


def document(server: Server) -> dict[str, Any]:
    """The document for --json; `page` turns it into text."""
    now = time.time()
    running = None if server.running is None else server.running.snapshot
    certificate = None if running is None else running.certificate
    shown = None if server.running is None or certificate is None else context.shown(server.running)
    # The copy that the server reads is whole, also where certificate and key are two files.
    copy = None if certificate is None else _facts(certificate.source, server.paths.served, now)
    own = {
        "installed": server.paths.installed,
        "local": server.paths.local_leaf,
        "self-signed": server.paths.self_signed,
    }
    others = {source: path for source, path in own.items() if certificate is None or certificate.file != str(path)}
    on_disk = [facts for source, path in others.items() if (facts := _facts(source, path, now))]
    signer = authority.read(server.paths.authority)
    items = [] if running is None else [asdict(each) for each in running.items if each.code.startswith("certificate")]
    errors = any(each["severity"] == "error" for each in items)
    return {
        "ok": certificate is not None and shown == certificate.sha256 and not errors,
        "running": running is not None,
        "urls": list(server.urls),
        "served": None if certificate is None else asdict(certificate),
        "shown_sha256": shown,
        "chain": copy if copy is not None and certificate and copy.get("sha256") == certificate.sha256 else None,
        "on_disk": on_disk,
        "authority": {"name": signer.name, "sha256": signer.sha256, "not_after": signer.not_after}
        if isinstance(signer, Authority)
        else None,
        "authority_url": new.link(server.urls) if isinstance(signer, Authority) else None,
        "items": items,
    }


def _facts(source: str, path: Path, now: float) -> dict[str, Any] | None:
    """About a combined file; None if there is none."""
    found = check.check(path, None, now)
    facts: dict[str, Any] = {"source": source, "file": str(path), "problem": None}
    if not isinstance(found, Pair):
        return None if found.missing else facts | {"problem": found.text, "advice": found.advice}
    blocks = files.blocks(found.pem.decode())
    certificates = [each.text for each in blocks if not each.label.endswith("PRIVATE KEY")]
    key = next(each.text for each in blocks if each.label.endswith("PRIVATE KEY"))
    return facts | {
        "names": list(found.names),
        "sha256": found.sha256,
        "not_before": found.not_before,
        "not_after": found.not_after,
        "validity": found.validity,
        "above": len(certificates) - 1,
        "trusted_here": handshake.is_trusted_here(certificates, key),
        "remarks": [{"text": each.text, "advice": each.advice} for each in found.remarks],
    }


def page(told: dict[str, Any]) -> str:
    """For people."""
    lines: list[str] = []
    served = told["served"]
    if served is None:
        lines += ["Nothing is served over TLS: " + ("tls.enabled is false" if told["running"] else "no server runs")]
    else:
        agrees = told["shown_sha256"] == served["sha256"]
        just_now = "checked just now" if agrees else f"but clients get ANOTHER one ({told['shown_sha256']})"
        where = told["urls"][0] if told["urls"] else "no address that answers"
        lines += [f"Served at {where}, {just_now}:", "", *_block(served)]
    if told["chain"] is not None:
        lines += _chain(told["chain"])
    for each in told["on_disk"]:
        lines += ["", "On disk, not served:", ""]
        problem = each["problem"]
        lines += (
            _block(each) if problem is None else [_row("File", each["file"]), f"  {problem}\n      {each['advice']}"]
        )
    if told["authority"] is not None:
        signer = told["authority"]
        until = local_time.day(signer["not_after"])
        lines += ["", f"The authority of this machine, {signer['name']!r}, valid until {until}:"]
        lines += _fingerprint(signer["sha256"])
        lines += [_row("File", told["authority_url"] or "jupyterd cert show --authority")]
    for item in told["items"]:
        lines += ["", f"{item['severity']}: {item['text']}", f"    {item['advice']}"]
    return "\n".join(lines) + "\n"


def _chain(facts: dict[str, Any]) -> list[str]:
    above = facts["above"]
    trust = "trusts" if facts["trusted_here"] else "does not trust"
    lines = [
        _row(
            "Chain",
            f"{plural(above, 'intermediate certificate') if above else 'no intermediate certificate'} in the file",
        ),
        _row("", f"this machine {trust} the issuer"),
    ]
    for remark in facts["remarks"]:
        lines += [_row("Remark", remark["text"]), _row("", remark["advice"])]
    return lines


def _block(facts: dict[str, Any]) -> list[str]:
    left_s = facts["not_after"] - time.time()
    return [
        _row("Kind", SOURCES.get(facts["source"], facts["source"])),
        _row("File", facts["file"]),
        _row("Names", ", ".join(facts["names"]) or "none"),
        _row("Validity", expiry(left_s, local_time.day(facts["not_after"]))),
        *_fingerprint(facts["sha256"]),
    ]


def _fingerprint(sha256: str) -> list[str]:
    return [_row("" if number else "SHA-256", line) for number, line in enumerate(fingerprint(sha256))]


def _row(label: str, text: str) -> str:
    return f"  {label:<{LABEL}}{text}"


def _authority(server: Server) -> int:
    found = authority.read(server.paths.authority)
    if not isinstance(found, Authority):
        return fail(f"{found.text}\n    to make one: jupyterd cert new")
    print(found.certificate, end="")
    return 0
