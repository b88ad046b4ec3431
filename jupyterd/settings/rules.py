"""Checks values beyond their type: an address that can be listened on, a valid hash, an absolute path.

Looks at nothing but the value (checks.py looks at the machine).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import attrs

from jupyterd.linux import accounts
from jupyterd.settings import address_rules
from jupyterd.settings.problems import Origin, Problem, nearest, quoted
from jupyterd.settings.table import Setting, Value
from jupyterd.settings.values import Fault, Judged
from jupyterd.text import plural

UNSAFE = ("disable_check_xsrf", "allow_origin", "allow_unauthenticated_access", "identity_provider_class")
"""Jupyter's own names; jupyterd.server.auth.unsafe_settings looks at them."""
TOKEN_LEAST = 16
TOKEN_MOST = 512
_DIGESTS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
_HASH = re.compile(r"(\w+):[0-9a-fA-F]*:([0-9a-fA-F]+)")
_ARGON2 = re.compile(r"\$argon2(id|i|d)\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*")
_URL_PATH = re.compile(r"/(?:[A-Za-z0-9._~@!$&'()*+,;=:-]+/)*")
_UNITS = "KMGT"
_SIZE = re.compile(r"[0-9]+(?:\.[0-9]+)?[KMGT]?|[0-9]{1,3}%|infinity")
_MAKE_HASH = "make one with: jupyterd config hash"
_MAKE_TOKEN = "make one with: openssl rand -hex 24"  # noqa: S105 - a command, not a token


@attrs.frozen
class Context:
    """What makes a path absolute. `cwd` is None for a value out of a file, where "." has no meaning."""

    home: str
    cwd: Path | None


def normalise(row: Setting, value: Value, context: Context) -> Judged:
    """The value in the form in which it is used (paths absolute, addresses in their usual spelling), or its faults."""
    if row.path and isinstance(value, str):
        return _path(row, value, context)
    rule = _RULES.get(row.name)
    return value if rule is None else rule(value)


def cross_check(values: Mapping[str, Value], origins: Mapping[str, Origin], doubtful: Collection[str]) -> list[Problem]:
    """Problems of values that contradict each other. Settings in `doubtful` have a problem already and are left out."""
    problems = []
    if values["tls.key"] and not values["tls.certificate"] and "tls.certificate" not in doubtful:
        problems.append(
            Problem(
                origins["tls.key"], "tls.key is set and tls.certificate is not", "a key needs its certificate",
                "set tls.certificate too, or neither: then a self-signed pair is made",
            )
        )  # fmt: skip
    high, most = str(values["kernels.memory_high"]), str(values["kernels.memory_max"])
    if not {"kernels.memory_high", "kernels.memory_max"}.intersection(doubtful) and _is_more(high, most):
        problems.append(
            Problem(
                origins["kernels.memory_high"], f"kernels.memory_high is {quoted(high)}, more than kernels.memory_max",
                f"a kernel is ended at {quoted(most)} and would never be slowed down before",
                "give the smaller of the two to memory_high",
            )
        )  # fmt: skip
    return problems


def _is_more(one: str, other: str) -> bool:
    """Whether size `one` exceeds `other`, both as in systemd.resource-control(5); False for a size and a percentage."""
    if not one or not other or other == "infinity" or one.endswith("%") != other.endswith("%"):
        return False
    return one == "infinity" or _number(one) > _number(other)


def _number(size: str) -> float:
    unit = size[-1] if size[-1] in _UNITS else ""
    return float(size.removesuffix("%").removesuffix(unit)) * 1024.0 ** (_UNITS.index(unit) + 1 if unit else 0)


def _ip(value: Value) -> Judged:
    if not value:
        return Fault("server.ip is empty", address_rules.WANTED, 'write ip = ["*"] for every address')

    def fault(text: str, index: int) -> Fault:
        advice = address_rules.advice(text) or ('write ip = ["*"] for every address' if not text else "")
        return Fault(f"server.ip is {quoted(text)}", address_rules.WANTED, advice, item=index)

    return _each(value, address_rules.literal, fault)


def _names(value: Value) -> Judged:
    def fault(text: str, index: int) -> Fault:
        wanted = "allowed are host names and addresses as browsers use them"
        return Fault(f"server.names holds {quoted(text)}", wanted, address_rules.name_advice(text), item=index)

    return _each(value, address_rules.host_name, fault)


def _proxies(value: Value) -> Judged:
    def fault(text: str, index: int) -> Fault:
        advice = 'write "127.0.0.1", "::1"' if text.lower() == "localhost" else ""
        wanted = 'allowed are addresses and networks such as "10.1.0.0/24", not all there are'
        return Fault(f"login.trusted_proxies holds {quoted(text)}", wanted, advice, item=index)

    return _each(value, address_rules.network, fault)


def _unsafe(value: Value) -> Judged:
    def fault(text: str, index: int) -> Fault:
        advice = f'did you mean "{near}"?' if (near := nearest(text, UNSAFE)) else ""
        return Fault(
            f"server.allow_unsafe holds {quoted(text)}", f"allowed are {', '.join(UNSAFE)}", advice, item=index
        )

    return _each(value, lambda text: text if text in UNSAFE else None, fault)


def _env(value: Value) -> Judged:
    def fault(text: str, index: int) -> Fault:
        wanted = 'allowed is NAME=VALUE, with a name of letters, digits and "_"'
        advice = "" if "=" in text else "a value with a comma can only be written in a file"
        return Fault(f"kernels.env holds {quoted(text)}", wanted, advice, item=index)

    found = _each(value, lambda text: text if _VARIABLE.fullmatch(text) else None, fault)
    if isinstance(found, tuple) and len(names := [each.partition("=")[0] for each in found]) > len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        return Fault(f"kernels.env sets {twice} twice", "each variable has one value")
    return found


def _each(value: Value, rule: Callable[[str], str | None], fault: Callable[[str, int], Fault]) -> Judged:
    """The items as `rule` returns them, without duplicates; or one fault for each item that it refuses (None)."""
    assert isinstance(value, tuple)  # noqa: S101 - for the type checker: the kind was judged before
    good = [rule(text) for text in value]
    wrong = [fault(text, index) for index, (text, kept) in enumerate(zip(value, good, strict=True)) if kept is None]
    return wrong or tuple(dict.fromkeys(kept for kept in good if kept is not None))


def _base_url(value: Value) -> Value | Fault:
    text = str(value)
    whole = f"/{text.strip('/')}/" if text.strip("/") else "/"
    if _URL_PATH.fullmatch(whole) and not {".", ".."}.intersection(whole.split("/")) and "://" not in text:
        return whole
    advice = ""
    if "://" in text:
        path = text.partition("://")[2].partition("/")[2].strip("/")
        advice = (
            f"write only the path: base_url = {quoted(f'/{path}/' if path else '/')}; host names go to server.names"
        )
    elif "//" in whole:
        advice = f"did you mean {quoted(re.sub('/+', '/', whole))}?"
    wanted = 'allowed is a path such as "/lab1/", of letters, digits and .-_~'
    return Fault(f"server.base_url is {quoted(text)}", wanted, advice)


def _password_hash(value: Value) -> Value | Fault:
    """The fault names the kind of text and never shows it: it may be the password itself."""
    text = str(value)
    wanted = 'a hash such as "argon2:$argon2id$..." or an old "sha1:salt:digest" is wanted'
    if not text:
        return text
    name = "login.password_hash"
    if text.startswith("argon2:"):
        good = _ARGON2.fullmatch(text.removeprefix("argon2:"))
        return text if good else Fault(f'{name} begins with "argon2:" and is cut off or changed', wanted, _MAKE_HASH)
    if _ARGON2.fullmatch(text):
        return Fault(f'{name} is an argon2 hash without its "argon2:"', wanted, 'put "argon2:" in front of it')
    old = _HASH.fullmatch(text)
    if old is not None and old[1] in _DIGESTS:
        good_length = len(old[2]) == _DIGESTS[old[1]]
        return (
            text if good_length else Fault(f"{name} is a {old[1]} hash that is cut off or changed", wanted, _MAKE_HASH)
        )
    if re.match(r"\$[0-9a-z]{1,8}\$", text):
        return Fault(f"{name} is a hash of another program (as in /etc/shadow)", wanted, _MAKE_HASH)
    return Fault(f"{name} is plain text, not a hash", wanted, _MAKE_HASH)


def _token(value: Value) -> Value | Fault:
    """The fault names the length and never shows the text."""
    text = str(value)
    if not text:
        return text
    if not TOKEN_LEAST <= len(text) <= TOKEN_MOST:
        found = f"login.token has {plural(len(text), 'character')}"
        return Fault(found, f"{TOKEN_LEAST} to {TOKEN_MOST} are wanted: nothing else keeps others out", _MAKE_TOKEN)
    if not text.isascii() or " " in text:
        return Fault(
            "login.token holds a space or a character that is not ASCII",
            "it is sent in a header unchanged",
            _MAKE_TOKEN,
        )
    return text


def _memory(name: str) -> Callable[[Value], Value | Fault]:
    def rule(value: Value) -> Value | Fault:
        text = str(value)
        bare = re.sub(r"\s|I?B$", "", text.upper()).replace("INFINITY", "infinity")
        if not text or _SIZE.fullmatch(text):
            return text
        advice = f"did you mean {quoted(bare)}?" if _SIZE.fullmatch(bare) else ""
        return Fault(f"{name} is {quoted(text)}", 'allowed is a size such as "64G", "512M" or "50%"', advice)

    return rule


def _path(row: Setting, text: str, context: Context) -> Value | Fault:
    if not text:
        return text if row.default == "" else Fault(f"{row.name} is empty", "a directory is wanted")
    whole = accounts.expanded(text, context.home)
    if whole is None:
        return Fault(f"{row.name} is {quoted(text)}", f"there is no account {quoted(text.partition('/')[0][1:])}")
    if whole.startswith("/"):
        return str(Path(whole))
    variable = re.match(r"\$(?:HOME|\{HOME\})(?=/|$)", whole)
    if variable is not None:
        meant = "~" + whole[variable.end() :]
        return Fault(f"{row.name} is {quoted(text)}", "variables are not replaced", f"write {quoted(meant)}")
    if context.cwd is None:
        return Fault(f"{row.name} is {quoted(text)}", 'a path that begins with "/" or "~/" is wanted')
    return os.path.normpath(context.cwd / whole)


_RULES: dict[str, Callable[[Value], Judged]] = {
    "server.ip": _ip,
    "server.names": _names,
    "server.base_url": _base_url,
    "login.password_hash": _password_hash,
    "login.token": _token,
    "login.trusted_proxies": _proxies,
    "server.allow_unsafe": _unsafe,
    "kernels.env": _env,
    "kernels.memory_max": _memory("kernels.memory_max"),
    "kernels.memory_high": _memory("kernels.memory_high"),
}
