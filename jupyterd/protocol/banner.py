"""The banner of a start, with the URLs left open: `jupyterd run` writes it before it knows which of them answer, and
the supervisor fills them in.
"""

from __future__ import annotations

from jupyterd.text import bracketed

INDENT, DEEPER = "  ", "      "
URLS, BEST, TUNNEL_END, WHEN = "\1urls\1", "\1best\1", "\1end\1", "\1when\1"
"""Placeholders, with a character that no setting can hold: a line for each URL, the best URL, the host to which an ssh
tunnel leads as the server sees it, and the sentence that says when a tunnel is of use.
"""


def fill(template: str, urls: tuple[str, ...]) -> str:
    """The text for these URLs, at least one, best first. The tunnel ends at loopback if one of them does."""
    hosts = [_host(url) for url in urls]
    loopback = [host for host in hosts if host in ("localhost", "::1") or host.startswith("127.")]
    if len(loopback) == len(hosts):
        when = "Only this machine can open that address. On any other computer, type"
    else:
        when = "If a firewall is in the way, type on your own computer"
    for placeholder, text in (
        (URLS, "\n".join(f"{DEEPER}{url}" for url in urls)),
        (BEST, urls[0].rstrip("/")),
        (TUNNEL_END, bracketed((loopback or hosts)[0])),
        (WHEN, f"{INDENT}{when}"),
    ):
        template = template.replace(placeholder, text)
    return template


def _host(url: str) -> str:
    """The host of a URL that we have made ourselves, without brackets."""
    where = url.partition("://")[2].partition("/")[0]
    return where[1:].partition("]")[0] if where.startswith("[") else where.partition(":")[0]
