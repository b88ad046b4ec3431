"""Whether the server answers on each address that a person would type: name, TCP, TLS with the certificate that is on
disk, and HTTP, as a browser on this machine does it.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from jupyterd.cli.doctor.facts import Subject
from jupyterd.cli.doctor.verdict import Verdict

SUBJECT = "addresses"
_ANSWER_S = 4.0


def examine(what: Subject) -> Iterator[Verdict]:
    """One verdict for each address that does not answer, or one for all."""
    if what.running is None:
        yield Verdict(SUBJECT, "unknown", "no server runs, so nothing answers")
        return
    told = what.running.snapshot
    urls = list(dict.fromkeys((*told.urls, *(each.url for each in told.addresses))))
    wanted = None if told.certificate is None else told.certificate.sha256
    with ThreadPoolExecutor(max(1, min(16, len(urls)))) as pool:
        problems = dict(zip(urls, pool.map(lambda url: problem_of(url, wanted), urls), strict=True))
    for url, problem in problems.items():
        if problem:
            yield Verdict(SUBJECT, "wrong", f"{url}: {problem}", _advice(problem))
    well = [url for url in urls if not problems[url]]
    if well:
        yield Verdict(SUBJECT, "good", f"{len(well)} of {len(urls)} answer to this machine, over TCP, TLS and HTTP")


def problem_of(url: str, wanted_sha256: str | None, within_s: float = _ANSWER_S) -> str:
    """Why nobody can use this address, as a phrase; "" if it answers. The certificate is compared, not trusted."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        raw = socket.create_connection((host, port), within_s)
    except socket.gaierror as error:
        return f"the name leads nowhere on this machine ({error.strerror})"
    except OSError as error:
        return "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
    with raw:
        try:
            return _talk(raw, host, parts.scheme, parts.path, wanted_sha256)
        except ssl.SSLError as error:
            return f"TLS handshake failed: {(error.reason or str(error)).lower().replace('_', ' ')}"
        except (OSError, http.client.HTTPException) as error:
            return f"connected, but got no answer in HTTP ({type(error).__name__})"


def _talk(raw: socket.socket, host: str, scheme: str, path: str, wanted_sha256: str | None) -> str:
    link = raw
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        link = context.wrap_socket(raw, server_hostname=host)
        served = hashlib.sha256(link.getpeercert(binary_form=True) or b"").hexdigest()
        if wanted_sha256 not in (None, served):
            return "another certificate is served than the one on disk"
    asked = http.client.HTTPConnection(host, link.getpeername()[1])
    asked.sock = link
    asked.request("GET", f"{path}api")
    code = asked.getresponse().status
    link.close()
    return "" if code == http.client.OK else f"answers with HTTP {code}: another program, or a proxy, is in the way"


def _advice(problem: str) -> tuple[str, ...]:
    if problem.startswith("the name leads nowhere"):
        return ("give the name to your router or name server, or take it out of [server] names",)
    return ("jupyterd status",)
