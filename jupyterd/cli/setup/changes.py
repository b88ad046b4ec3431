"""What `jupyterd setup` will write, decided and shown before anything is written; and writing the settings file."""

from __future__ import annotations

import argparse
import os
import stat
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from jupyterd.cli import as_account
from jupyterd.cli._common import DONE, EX_TEMPFAIL, say
from jupyterd.cli.setup import options, service_account, services, systemctl, tried
from jupyterd.cli.setup import unit_files as files
from jupyterd.cli.setup.answers import Answers, CertificateAnswer, Existing, collect_answers, confirmed
from jupyterd.cli.setup.target import SetupTarget
from jupyterd.cli.setup.tried import Tried
from jupyterd.linux import ports
from jupyterd.linux.accounts import Account, others_in_group
from jupyterd.linux.files import ABSENT
from jupyterd.settings import sample, table
from jupyterd.settings.table import Value
from jupyterd.settings.values import toml
from jupyterd.text import for_terminal

DEFAULT_PORT = table.SETTINGS["server.port"].default


@attrs.frozen
class Todo:
    """Everything that setup will write. `pieces`: files and links of the machine's service; `unit`: the unit file of a
    user's own server; `tried`: what there is of ./run, whether it `ends`, and whether the service `takes_over` from it;
    `widened`: one line for each thing that the pieces take from the service's sandbox.
    """

    text: str
    new_text: bool
    pieces: tuple[files.Put | files.Point, ...]
    unit: files.Put | None
    answers: Answers
    tried: Tried
    ends: bool
    takes_over: bool
    widened: tuple[str, ...] = ()

    @property
    def keeps_environment(self) -> bool:
        """Whether notebooks go on in the Python environment of ./run."""
        return self.takes_over and self.tried.environment


def todo(args: argparse.Namespace, target: SetupTarget) -> Todo | None:
    """Decide what to write, show it, and ask; None if the user declines. ValueError says which option is wrong."""
    quiet = args.yes or args.dry_run
    known, earlier = _known(target), tried.find(target.account, target.paths.state if target.user else None)
    if args.installing and not known.fresh and not options.says_something(args):
        quiet = True  # an upgrade
    if not quiet and not sys.stdin.isatty():
        raise ValueError("there is no terminal to ask questions. Use --yes, with your answers as options (see --help)")
    ends = _ends(target, known, earlier, args, ask=not quiet)
    takes_over = args.take_over and known.fresh and not target.user
    known = _proposed(known, earlier, ends=ends, takes_over=takes_over)
    answers = collect_answers(args, target, known, ask=not quiet)
    port = {**known.values, **answers.values}["server.port"]
    if not ends and not known.serves and earlier.mode != "user" and earlier.is_in_the_way(port):
        raise ValueError(service_account.in_the_way(earlier))
    answers = attrs.evolve(
        answers, remarks=(*answers.remarks, *_remarks(known, earlier, port, ends=ends, takes_over=takes_over))
    )
    before = target.text()
    text = _text(target, before, answers.values)
    settings = table.build({**known.values, **answers.values})
    new_text = text != before
    if target.user:
        unit = services.user_unit(target.account)
        made = Todo(text, new_text, (), unit, answers, earlier, ends, takes_over=False)
    else:
        opened = services.openings(target.account, settings)
        service = services.service_of(target.account, settings, opened)
        pieces = files.pieces(service, Path(sys.prefix))
        answers = attrs.evolve(answers, remarks=(*answers.remarks, *map(str, opened.refused)))
        widened = tuple(services.widened(service, opened))
        made = Todo(text, new_text, pieces, None, answers, earlier, ends, takes_over, widened)
    shown = tuple(_shown(target, made, known))
    if shown:
        whose = "your own server" if target.user else f"the machine's service of {target.account.name}"
        say("\n  ".join((f"this will be done for {whose}:", *shown)))
    for each in answers.remarks:
        print(for_terminal(f"  note: {each}"), file=sys.stderr)
    return made if quiet or not shown or confirmed("Continue?") else None


def _ends(target: SetupTarget, known: Existing, earlier: Tried, args: argparse.Namespace, *, ask: bool) -> bool:
    """Whether the server of ./run is to end. ValueError if it is in the way of a server in the same directory."""
    if known.serves or not earlier.runs or earlier.mode == "user":
        return False
    if args.end_run:
        return True
    ends = False
    if ask:
        say(for_terminal(f"{earlier.shown} still runs"))
        kernels = ", and its kernels with what is in their memory" if earlier.kernels else ""
        ends = confirmed(f"End it when the service starts{kernels}?", yes=not earlier.kernels)
    if target.user and not ends:
        raise ValueError(f"{earlier.shown} still runs; both would use {earlier.state}. To end it, add --end-run")
    return ends


def _proposed(known: Existing, earlier: Tried, *, ends: bool, takes_over: bool) -> Existing:
    """The same with what is proposed for a new server: a free port, and what ./run has already."""
    if not known.fresh:
        return known
    port = known.values["server.port"]
    if not (ends and earlier.port == port) and isinstance(port, int):
        port = ports.free_from(port)
    known = attrs.evolve(known, values={**known.values, "server.port": port})
    if not takes_over:
        return known
    return attrs.evolve(
        known,
        has_password=known.has_password or earlier.password,
        has_certificate=known.has_certificate
        or not {"installed.pem", "authority.pem"}.isdisjoint(earlier.certificates),
        has_authority=known.has_authority or "authority.pem" in earlier.certificates,
    )


def _remarks(known: Existing, earlier: Tried, port: Value, *, ends: bool, takes_over: bool) -> Iterator[str]:
    if known.fresh and port == known.values["server.port"] != DEFAULT_PORT:
        yield f"port {DEFAULT_PORT} is in use by another program, so this server gets port {port}"
    elif not (known.serves or (ends and earlier.port == port)) and isinstance(port, int) and ports.is_taken(port):
        yield f"port {port} is in use by another program now; the server starts as soon as it is free"
    if takes_over and earlier.settings:
        yield "the settings of ./run (~/.config/jupyterd/jupyterd.toml) are not taken over"
    if takes_over and earlier.self_signed and not earlier.certificates:
        yield "the self-signed certificate of ./run is not taken over: browsers warn once more, about the new one"


def _known(target: SetupTarget) -> Existing:
    loaded = target.load()
    values = {name: table.value_of(loaded.settings, row) for name, row in table.SETTINGS.items()}
    standing, fresh = target.standing(), target.text() is None
    if fresh and not target.user:
        values["server.ip"] = ("*",)
    return Existing(
        fresh=fresh,
        values=values,
        has_password=standing.state and target.verb("password", target.flag, "--is-set") == 0,
        has_certificate=bool(values["tls.certificate"]) or {standing.installed, standing.authority} != {ABSENT},
        has_authority=standing.authority != ABSENT,
        has_installed=standing.installed != ABSENT,
        serves=systemctl.is_active(user=target.user),
    )


def _text(target: SetupTarget, before: str | None, values: Mapping[str, Value]) -> str:
    """The new text of the settings file. A new file lists every setting; in an existing one only values change."""
    if before is None:
        return sample.text(values)
    try:
        return sample.edited(before, values)
    except ValueError as error:
        raise ValueError(f"{target.settings}: {error}") from None


def _shown(target: SetupTarget, made: Todo, known: Existing) -> Iterator[str]:
    """One line for each thing that setup will write or change."""
    account, answers = target.account.name, made.answers
    if made.new_text:
        yield f"{target.settings}{' (new)' if known.fresh else ''}"
        yield from _values(answers, known)
    for piece in (*made.pieces, made.unit):
        if piece is not None and not piece.is_so:
            yield str(piece.path)
            if piece.path == files.DROP_IN:
                yield from (f"    {line}" for line in made.widened)
    if answers.secret is not None:
        yield f"{target.paths.login}   the hash of the password, if it is new; only {account} can read it"
    elif known.fresh and not known.has_password:
        yield f"{target.paths.login}   the hash of a one-time token; you choose the password in the browser"
    yield from _certificate(target, answers.certificate, known)
    if made.ends:
        yield f"{made.tried.shown} will be ended"
    if made.takes_over:
        yield from _taken_over(made)
    if known.fresh:
        environment = "" if made.keeps_environment else ", and the Python environment of notebooks"
        yield f"{target.paths.state}   state{environment}; only for {account}"
        yield f"a service that starts at boot; {account}'s processes keep running after logout (loginctl enable-linger)"


def _taken_over(made: Todo) -> Iterator[str]:
    kept = [("the password", made.tried.password and made.answers.secret is None)]
    kept += [("the certificate", bool(made.tried.certificates)), ("the Python environment", made.tried.environment)]
    names = [name for name, is_there in kept if is_there]
    if names:
        yield f"from ./run ({made.tried.state}): {', '.join(names)}"


def _values(answers: Answers, known: Existing) -> Iterator[str]:
    for name, value in answers.values.items():
        row = table.SETTINGS[name]
        if known.fresh or value != known.values[name]:
            was = "" if known.fresh or row.secret else f"   (now {toml(known.values[name])})"
            yield f"    [{row.section}] {row.key} = {'(secret)' if row.secret else toml(value)}{was}"


def _certificate(target: SetupTarget, certificate: CertificateAnswer, known: Existing) -> Iterator[str]:
    match certificate.kind:
        case "authority":
            if known.has_installed:
                yield f"{target.paths.installed}   removed: it would be served instead"
            if not known.has_authority:
                yield f"{target.paths.authority}   a local certificate authority"
        case "files":
            yield f"{target.paths.installed}   from {', '.join(map(str, certificate.files))}"
        case "acme":
            where = certificate.server or "Let's Encrypt"
            yield f"a certificate for {', '.join(certificate.domains)} from {where}, renewed by certbot"
        case _:
            pass


def put_settings(target: SetupTarget, todo: Todo) -> int:
    """Write the settings, and restore the old ones if the service would refuse the new ones. Returns the exit code of
    `jupyterd config check`.
    """
    before = target.text()
    if todo.new_text:
        _write(target, todo.text)
    elif not target.user and target.reader.uid == 0:
        _let_read(target)
    # Not whether the port is free: the server of ./run may hold it until the service starts.
    refused = target.verb("config", "check", "--reloading", *([] if target.user else ["--system"]))
    if refused in {DONE, EX_TEMPFAIL}:
        _overruled(target, todo.answers.values)
        return 0
    if todo.new_text and before is None:
        as_account.ask(target.writer, target.settings.unlink, type(None))
    elif todo.new_text and before is not None:
        _write(target, before)
    kept = (
        "the settings are unchanged" if todo.new_text else f"correct {target.settings}, then run the same command again"
    )
    say(f"nothing was started; {kept}")
    return refused


def _overruled(target: SetupTarget, values: Mapping[str, Value]) -> None:
    """Say so if a drop-in of the user overrides a value in this file."""
    loaded = target.load()
    for name, value in values.items():
        if table.value_of(loaded.settings, table.SETTINGS[name]) != value:
            say(f"{name} has another value: {loaded.origins[name]} overrides this file")


def _write(target: SetupTarget, text: str) -> None:
    """An existing file keeps its owner and mode, unless others could then read a secret in it."""
    by_root = target.writer.uid == 0 and not target.user
    as_account.ask(target.writer, lambda: _put(target.settings, text, target.account, by_root=by_root), bool)


def _put(path: Path, text: str, mine: Account, *, by_root: bool) -> bool:
    uid, gid, mode = (0, mine.gid, 0o640) if by_root else (mine.uid, mine.gid, 0o600)
    try:
        found = path.stat()
    except FileNotFoundError:
        pass
    else:
        uid, gid, mode = found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)
    if by_root and _holds_secret(text):
        uid, gid, mode = (mine.uid, mine.gid, 0o600) if others_in_group(mine.gid, mine) else (0, mine.gid, 0o640)
    return files.put(path, text, mode=mode, uid=uid, gid=gid)


def _holds_secret(text: str) -> bool:
    document = tomllib.loads(text)
    return any(document.get(row.section, {}).get(row.key) for row in table.SETTINGS.values() if row.secret)


def _let_read(target: SetupTarget) -> None:
    """Let the account read an existing settings file whose text does not change."""
    found, mine = target.settings.stat(), target.account
    if found.st_uid != mine.uid and found.st_gid != mine.gid and not found.st_mode & 0o004:
        os.chown(target.settings, -1, mine.gid)
        say(f"the group of {mine.name} can now read {target.settings}")
