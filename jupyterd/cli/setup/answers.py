"""The answers for `jupyterd setup`: from options, from a Jupyter configuration, from questions at a terminal.

The rules of the settings decide whether an answer is valid.
"""

from __future__ import annotations

import argparse
import getpass
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import attrs

from jupyterd.cli import as_account
from jupyterd.cli.setup import jupyter_import
from jupyterd.cli.setup.target import SetupTarget
from jupyterd.settings import login_store, rules, table
from jupyterd.settings.imported import Taken
from jupyterd.settings.table import Value
from jupyterd.settings.values import Fault, from_text
from jupyterd.text import for_terminal
from jupyterd.tls import collect
from jupyterd.tls.key_pair import PairProblem

HASH, ROOT, CERTIFICATE = "login.password_hash", "server.allow_root", "tls.certificate"
CertificateChoice = Literal["auto", "authority", "acme", "files"]
_KINDS: dict[str, CertificateChoice] = {"": "auto", "auto": "auto", "authority": "authority", "acme": "acme"}
_CERTIFICATES = """\
Certificate:
  1  {now}
  2  from a local authority, which you add to each of your devices once (iPhone and iPad need that)
  3  your own, in files
  4  from Let's Encrypt (port 80 of this machine must be reachable from the internet by a name)
Which"""


@attrs.frozen
class Secret:
    """A password or its hash; never shown."""

    kind: Literal["password", "hash"]
    text: str = attrs.field(repr=False)


@attrs.frozen
class CertificateAnswer:
    """Which certificate to use; `files` for "files", the other fields for "acme"."""

    kind: CertificateChoice = "auto"
    files: tuple[Path, ...] = ()
    domains: tuple[str, ...] = ()
    email: str = ""
    server: str = ""
    agreed: bool = False


@attrs.frozen
class Answers:
    """`values`: new settings by dotted name; `secret`: None to leave the login unchanged; `remarks`: notes to print."""

    values: Mapping[str, Value]
    secret: Secret | None
    certificate: CertificateAnswer
    remarks: tuple[str, ...] = ()


@attrs.frozen
class Existing:
    """The state before setup. `fresh`: there is no settings file yet. `values`: current settings or defaults.
    `serves`: its service is active.
    """

    fresh: bool
    values: Mapping[str, Value]
    has_password: bool
    has_certificate: bool
    has_authority: bool
    has_installed: bool = False
    serves: bool = False


@attrs.frozen
class _Question:
    """A question about one setting; `typed` is the value of its option, `before` the default answer."""

    name: str
    text: str
    before: Value
    typed: str | None


def collect_answers(args: argparse.Namespace, target: SetupTarget, known: Existing, *, ask: bool) -> Answers:
    """All answers. Asks at the terminal only with `ask`. ValueError says what is wrong with an option."""
    imported = _imported(args.take, target, known, ask=ask)
    remarks = list(imported.remarks)
    values = {name: value for name, value in imported.values.items() if name != HASH}
    if values.get(ROOT) and target.account.uid != 0:
        del values[ROOT]
        remarks.append(f"{imported.places[ROOT]} is ignored: {target.account.name} is not root")
    secret = None
    if HASH in imported.values and args.login is None:
        if values.get("login.allow_password_change") is False:
            values[HASH] = imported.values[HASH]  # in the settings: elsewhere the browser could change it
        elif known.has_password:
            remarks.append(f"{imported.places[HASH]} is ignored: a password is already set")
        else:
            secret = Secret("hash", str(imported.values[HASH]))
    if args.login in ("password", "hash"):
        secret = Secret(args.login, _from_stdin())
    elif ask and args.login is None and secret is None and HASH not in values:
        typed = ask_password(is_set=known.has_password)
        secret = Secret("password", typed) if typed else None
    for name, typed, question in (
        (
            "server.ip",
            args.ip,
            'Addresses to listen on, separated by commas ("*": all; "localhost": only this machine)',
        ),
        ("server.port", args.port, "Port"),
    ):
        before = values.get(name, known.values[name])
        value = _setting(_Question(name, question, before, typed), target, ask=ask)
        if value != known.values[name] or name in values or known.fresh:
            values[name] = value
    if known.fresh and target.account.uid == 0:
        values[ROOT] = True  # root serves only if the user named root or the machine has no other account
    named = str(values.get(CERTIFICATE, known.values[CERTIFICATE]))
    certificate = _certificate(args, target, known, named, ask=ask)
    values |= _unnamed(named, certificate)
    return Answers(values, secret, certificate, tuple(remarks))


def _unnamed(named: str, chosen: CertificateAnswer) -> dict[str, Value]:
    """Another certificate is served only if the settings name none: theirs takes precedence."""
    return dict.fromkeys((CERTIFICATE, "tls.key"), "") if named and chosen.kind != "auto" else {}


def _imported(take: str | bool | None, target: SetupTarget, known: Existing, *, ask: bool) -> Taken:  # noqa: FBT001 - argparse's
    if take is False:
        return Taken()
    where = Path(take) if isinstance(take, str) and take else Path(target.account.home, ".jupyter")
    files = jupyter_import.found(where.absolute(), target.account)
    if take is None and not (ask and known.fresh and files):
        return Taken()
    if not files:
        raise ValueError(f"there is no Jupyter configuration at {where}")
    if take is None:
        names = ", ".join(each.name for each in files)
        if not confirmed(f"There is a Jupyter configuration in {where} ({names}). Import its settings?"):
            return Taken()
    return jupyter_import.take(files, target.account)


def _from_stdin() -> str:
    line = sys.stdin.buffer.readline(4096).decode("utf-8", "surrogateescape")
    text = line.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError("standard input is empty")
    return text


def _setting(asked: _Question, target: SetupTarget, *, ask: bool) -> Value:
    row, before, typed = table.SETTINGS[asked.name], asked.before, asked.typed

    def judge(text: str) -> Value | str:
        value = from_text(row, text)
        if not isinstance(value, Fault | list):
            value = rules.normalise(row, value, rules.Context(target.account.home, None))
        first = value[0] if isinstance(value, list) else value
        if isinstance(first, Fault):
            return "; ".join(filter(None, (first.found, first.wanted, first.advice)))
        return first

    def fault(text: str) -> str:
        found = judge(text)
        return found if isinstance(found, str) else ""

    if typed is None:
        if not ask:
            return before
        shown = ",".join(before) if isinstance(before, tuple) else str(before)
        typed = ask_until_valid(asked.text, shown, fault)
    found = judge(typed)
    if isinstance(found, str):
        raise ValueError(found)  # noqa: TRY004 - no setting that is asked for is a text
    return found


def _certificate(
    args: argparse.Namespace, target: SetupTarget, known: Existing, named: str, *, ask: bool
) -> CertificateAnswer:
    """`named`: the file that the settings will name."""
    which = args.certificate
    if which is None and args.domain:
        which = "acme"
    if which is None and ask:
        return _asked_certificate(target, known, named)
    kind = _KINDS.get(which or "", "files")
    if kind == "acme" and not (args.domain and args.email):
        raise ValueError("--certificate acme also needs --domain NAME and --email ADDRESS")
    paths = (Path(which), *([args.key] if args.key else [])) if kind == "files" else ()
    if paths:
        fault = _files_fault(target, paths)
        if fault:
            raise ValueError(fault)
    absolute = tuple(each.absolute() for each in paths)
    domains = tuple(args.domain or ())
    return CertificateAnswer(kind, absolute, domains, args.email or "", args.acme_server or "", args.agree_tos)


def _asked_certificate(target: SetupTarget, known: Existing, named: str) -> CertificateAnswer:
    now = "self-signed, made automatically; browsers warn about it once"
    if named or known.has_certificate:
        now = f"keep {named}" if named else "keep the current one"
    choice = ask_until_valid(
        _CERTIFICATES.format(now=now), "1", lambda text: "" if text in {"1", "2", "3", "4"} else "type 1, 2, 3 or 4"
    )
    match choice:
        case "2":
            return CertificateAnswer("authority")
        case "3":
            typed = ask_until_valid(
                "Files (certificate, key, chain), separated by spaces", "",
                lambda text: _files_fault(target, tuple(map(Path, text.split()))),
            )  # fmt: skip
            return CertificateAnswer("files", tuple(Path(each).absolute() for each in typed.split()))
        case "4":
            name = ask_until_valid(
                "Name of this machine", "", lambda text: "" if "." in text else "a full name, such as gpu.example.org"
            )
            email = ask_until_valid(
                "Your e-mail address", "", lambda text: "" if "@" in text else "an address, such as you@example.org"
            )
            return CertificateAnswer("acme", domains=(name,), email=email)
        case _:
            return CertificateAnswer()


def _files_fault(target: SetupTarget, paths: tuple[Path, ...]) -> str:
    if not paths:
        return "give at least one file"
    known = collect.read_by_root(paths) if as_account.is_needed(target.account) else {}

    def fault() -> str:
        found = collect.collect(paths, time.time(), known)
        return f"{found.text}; {found.advice}" if isinstance(found, PairProblem) else ""

    return as_account.ask(target.account, fault)


def ask_line(question: str, default: str = "") -> str:
    """What the user types, or the default for an empty line. EOFError at the end of the input."""
    shown = f" [{default}]" if default else ""
    print(f"{question}{shown}: ", end="", file=sys.stderr, flush=True)
    typed = sys.stdin.readline()
    if not typed:
        raise EOFError
    return typed.strip() or default


def ask_until_valid(question: str, default: str, fault: Callable[[str], str]) -> str:
    """Ask until `fault` returns "" for the answer; print what it returns otherwise."""
    while True:
        typed = ask_line(question, default)
        wrong = fault(typed)
        if not wrong:
            return typed
        print(for_terminal(f"  {wrong}"), file=sys.stderr)


def confirmed(question: str, *, yes: bool = True) -> bool:
    """Ask yes or no; Enter means `yes`."""
    typed = ask_line(f"{question} [{'Y/n' if yes else 'y/N'}]").lower()
    return typed in {"y", "yes"} or (yes and not typed)


def ask_password(*, is_set: bool) -> str:
    """An acceptable password, typed twice without echo; "" if the user only presses Enter."""
    nothing = "Enter: keep the current one" if is_set else "Enter: choose it in the browser, with a one-time link"
    while True:
        first = getpass.getpass(f"Password of the login page ({nothing}): ", stream=sys.stderr)
        if not first:
            return ""
        fault = login_store.password_fault(first)
        if not fault and getpass.getpass("Repeat the password: ", stream=sys.stderr) == first:
            return first
        print(f"  {fault or 'The two passwords differ.'}", file=sys.stderr)
