"""Makes the self-signed certificate that is served until there is another, and keeps it as long as it is good.

It is one combined PEM, 0600.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from jupyterd.linux import kept
from jupyterd.linux.net import is_address
from jupyterd.tls import check
from jupyterd.tls.key_pair import Pair

DAYS = 825
"""A new one means a new browser warning and a new fingerprint, so it lives as long as any browser allows: Apple's
refuse more than 825 days (support.apple.com/HT210176). The 398 days of public authorities bind those alone.
"""
LIFE_LEFT = 1 / 3
ADDRESSES_MOST = 64
"""How many addresses one has; those that the machine left longest ago make room."""
_HOST_NAME_MAX = 253
_HOST_NAME = re.compile(r"(\*\.)?([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")


def ensure(path: Path, names: Sequence[str], addresses: Sequence[str], now: float) -> bool:
    """Make one unless the one at `path` is good; True if it was made. OSError when it cannot be written.

    It is good while it reads back as a private pair, has more than a third of its life left, and has all of `names`
    and `addresses` (literal). A new one keeps the addresses of the one before: a browser warns once for each network
    that the machine joins, and not again when it comes back.
    """
    kept.clear(path)
    found = check.check(path, None, now)
    if isinstance(found, Pair) and _good(found, [*names, *addresses], now):
        return False
    known = [each for each in found.names if is_address(each)] if isinstance(found, Pair) else []
    self_signed(path, names, list(dict.fromkeys([*subjects(addresses), *known]))[:ADDRESSES_MOST], now)
    return True


def self_signed(path: Path, names: Sequence[str], addresses: Sequence[str], now: float, days: int = DAYS) -> None:
    """Replace `path` in one step. ValueError names what cannot be in a certificate."""
    named = subjects([*names, *addresses])
    if not named:
        raise ValueError("a certificate needs at least one name or address")
    from jupyterd.tls import build  # noqa: PLC0415 - 25 ms of cryptography that most starts do not need

    kept.directory(path.parent)
    kept.write(path, build.pem(named, now, days))


def _good(found: Pair, names: Sequence[str], now: float) -> bool:
    return has_life_left(found, now) and set(subjects(names)) <= set(found.names)


def has_life_left(found: Pair, now: float) -> bool:
    """More than the third at which our own are made again."""
    return found.validity == "valid" and now < renew_at(found)


def renew_at(found: Pair) -> float:
    """When one that we make is made again (Unix seconds)."""
    return found.not_after - LIFE_LEFT * (found.not_after - found.not_before)


def subjects(texts: Iterable[str]) -> list[str]:
    """What can be in a certificate, each once, in order; ValueError names what cannot.

    An address that means "all of them" is nobody's, and a link-local zone is this end's.
    """
    found = [each for each in map(_subject, texts) if each is not None]
    return list(dict.fromkeys(found))


def _subject(text: str) -> str | None:
    bare = text.strip().strip("[]").partition("%")[0].rstrip(".").lower()
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None if bare in {"", "*"} else _host_name(bare)
    return None if address.is_unspecified else str(address)


def _host_name(name: str) -> str:
    try:
        written = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"{name!r} cannot be a host name in a certificate: {error}") from error
    if len(written) > _HOST_NAME_MAX or not _HOST_NAME.fullmatch(written):
        raise ValueError(f"{name!r} cannot be a host name in a certificate")
    return written
