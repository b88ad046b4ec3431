"""Whether a text is an address to listen on or a host name, and what was meant if it is neither. Asks no resolver."""

from __future__ import annotations

import ipaddress
import re

from jupyterd.settings.problems import nearest, quoted

WANTED = 'allowed are "localhost", "*" for every address, and literal IPv4 and IPv6 addresses'

_KNOWN = ("localhost", "0.0.0.0", "127.0.0.1", "::1", "::")  # noqa: S104 - a spelling, not a bind
_EVERY = {
    "any",
    "all",
    "every",
    "everywhere",
    "public",
    "0",
    "%",
    "+",
    "**",
    "*.*",
    "*.*.*.*",
    "0/0",
    "0.0.0.0/0",
    "::/0",
}
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def literal(text: str) -> str | None:
    """The address in its usual spelling, "localhost" or "*"; None if a server cannot listen on it."""
    lowered = text.lower()
    if lowered in {"*", "localhost"}:
        return lowered
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.is_multicast or _never_local(address):
        return None
    return str(address)


def network(text: str) -> str | None:
    """An address or network in its usual spelling; None for anything else, and for a network of all addresses."""
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    if not found.prefixlen:
        return None
    return str(found.network_address) if found.prefixlen == found.max_prefixlen else str(found)


def is_public(host: str) -> bool:
    """True if another machine can reach what listens on it: "*", a wildcard, and all that is not loopback."""
    return host == "*" or (host != "localhost" and not ipaddress.ip_address(host).is_loopback)


def host_name(text: str) -> str | None:
    """A host name in lower case or a literal address, without brackets; None for anything else."""
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass
    name = text.lower().removesuffix(".")
    # Four numbers that are no address are no name either.
    return name if _HOST.fullmatch(name) and len(name) < 254 and not _numeric(name) else None  # noqa: PLR2004 - RFC 1035


def advice(text: str) -> str:
    """What to write instead of `text`, which is no address to listen on; "" for no idea."""
    meant = _meant(text.strip().strip("\"'").lower())
    if isinstance(meant, tuple):
        return "write a list: ip = [" + ", ".join(map(quoted, meant)) + "]"
    if meant is not None:
        extra = _extra(text)
        return f"did you mean {quoted(meant)}?" + (f" {extra}" if extra else "")
    if re.fullmatch(r"[0-9a-fA-F:.]+/\d+", text.strip()):
        return 'that is a network: write this machine\'s address in it (ip -brief address), or "*"'
    name = host_name(_bare_host(text))
    if name is not None and not _numeric(text) and ":" not in name:
        return f'a name cannot be listened on: write an address or "*", and put {quoted(name)} into server.names'
    return ""


def name_advice(text: str) -> str:
    """What to write instead of `text`, which is no host name; "" for no idea."""
    host = _bare_host(text)
    if host.startswith("*"):
        return "a pattern cannot be probed: write each name"
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            return ""
    found = host_name(host)
    return f"write {quoted(found)}" if found else ""


def _bare_host(text: str) -> str:
    """The host part of a URL or of host:port, in lower case."""
    bare = re.sub(r"^[a-z]+://", "", text.strip().lower()).partition("/")[0]
    return re.sub(r"^([^:]+):\d+$", r"\1", bare)


def _never_local(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """0.0.0.1 and its like ("this network"), 240.0.0.0/4 with broadcast, and IPv4 dressed as IPv6."""
    if isinstance(address, ipaddress.IPv4Address):
        first = int(address) >> 24
        return int(address) != 0 and (first == 0 or first >= 240)  # noqa: PLR2004 - RFC 1112, class E
    return address.ipv4_mapped is not None


def _meant(text: str) -> str | tuple[str, ...] | None:  # noqa: PLR0911 - one for each way to mean something
    """The address that was probably meant, a tuple of them for a list in one text, or None."""
    if text == "":
        return None
    if text in _EVERY:
        return "*"
    parts = tuple(part for part in re.split(r"[,;\s]+", text) if part)
    if len(parts) > 1 and all(map(literal, parts)):
        return parts
    for candidate in _respelt(text):
        good = literal(candidate)
        if good is not None:
            return good
    if _numeric(text):
        numbers = [str(int(part)) for part in re.findall(r"\d+", text)]
        if set(numbers) <= {"0"} or (numbers[:3] == ["0", "0", "0"]):
            return "0.0.0.0"  # noqa: S104 - a spelling, not a bind
        return nearest(".".join(numbers), _KNOWN, cutoff=0.8)
    return nearest(text, _KNOWN, cutoff=0.7)


def _respelt(text: str) -> list[str]:
    """Corrections of frequent mistakes: URL, port, brackets, letters for digits, commas, zeros, mapped IPv4."""
    host = re.sub(r"^[a-z]+:/+", "", text)
    host = host if re.search(r"/\d+$", host) else host.partition("/")[0]
    digits = host.replace("o", "0").replace("l", "1").replace(",", ".")
    numbers = [part for part in re.split(r"\.+", re.sub(r":\d+$", "", digits)) if part]
    plain = ".".join(str(int(part)) for part in numbers) if all(part.isdecimal() for part in numbers) else ""
    bracketed = re.match(r"\[([^\]]+)\]", host)
    return [
        host,
        bracketed[1] if bracketed else "",
        re.sub(r"^([^:]+):\d+$", r"\1", host),
        plain,
        text.removeprefix("::ffff:"),
    ]


def _extra(text: str) -> str:
    port = re.search(r"(?:\]|^[^:]*(?:://[^:/]*)?):(\d+)(?:/|$)", text.strip())
    return f"The port is a setting of its own: port = {port[1]}" if port and len(port[1]) < 6 else ""  # noqa: PLR2004


def _numeric(text: str) -> bool:
    return re.fullmatch(r"[\d.\s]+", text) is not None
