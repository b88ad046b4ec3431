"""Which certificate is served: the one in the settings, an installed one, one of our authority, or self-signed.

The chosen one is checked and copied, and the server serves only the copy (tls/check.py).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import attrs

from jupyterd.linux.files import stat_mark
from jupyterd.planner import addresses, checks, jupyter_config
from jupyterd.protocol.plan import Certificate, Trouble
from jupyterd.settings.paths import Paths
from jupyterd.settings.problems import Origin
from jupyterd.settings.schema import Settings
from jupyterd.tls import authority, check, make
from jupyterd.tls.check import Pair, PairProblem


@attrs.frozen
class Chosen:
    """The certificate to serve, or why there is none. Without `pair`: plain HTTP, or a problem."""

    pair: Pair | None = None
    source: str = ""
    """Certificate.source."""
    origin: str = ""
    """The file or files that the copy was made from."""
    files: jupyter_config.PairFiles | None = None
    problems: tuple[str, ...] = ()
    waiting: tuple[Trouble, ...] = ()
    warnings: tuple[Trouble, ...] = ()

    @property
    def certificate(self) -> Certificate | None:
        """For the plan."""
        return None if self.pair is None else replace(self.pair.certificate, source=self.source)


def choose(
    settings: Settings, origins: Mapping[str, Origin], paths: Paths, machine: addresses.Interfaces, *, write: bool
) -> Chosen:
    """Choose one. With `write`, make our own if needed, and use the last good copy of one that is broken."""
    watched = _marks(_originals(settings, paths))
    if settings.tls.certificate:
        chosen = of_settings(settings, origins, paths, write=write)
    else:
        chosen = _installed(paths, write=write)
        if chosen.pair is None and not chosen.waiting:
            own = _own(settings, paths, machine, write=write)
            chosen = attrs.evolve(own, warnings=(*chosen.warnings, *own.warnings))
    if chosen.pair is None:
        return chosen
    remarks = tuple(Trouble("certificate-remark", each.text, each.advice) for each in chosen.pair.remarks)
    ours = chosen.source in ("local", "self-signed")
    signer = authority.read(paths.authority) if chosen.source == "local" else None
    files = jupyter_config.PairFiles(
        certificate=str(paths.served),
        key=str(paths.served),
        sha256=chosen.pair.sha256,
        authority=signer.certificate if isinstance(signer, authority.Authority) else None,
        watched=watched | (_marks([chosen.pair.certificate_file]) if ours else {}),
        renew_at=make.renew_at(chosen.pair) if ours else None,
    )
    return attrs.evolve(chosen, files=files, warnings=(*chosen.warnings, *remarks))


def keep(chosen: Chosen, paths: Paths) -> None:
    """Write the copy that the server reads. OSError if the state directory cannot be written."""
    if chosen.pair is not None:
        check.write_copy(paths.served, chosen.pair, chosen.origin)


def _originals(settings: Settings, paths: Paths) -> list[Path]:
    """Files that others may change. Their marks are taken before they are read, so that no change is missed."""
    if settings.tls.certificate:
        return [Path(each) for each in (settings.tls.certificate, settings.tls.key) if each]
    return [paths.installed, paths.authority]


def _marks(files: list[Path]) -> dict[str, str]:
    return {str(each): stat_mark(str(each)) for each in files}


def of_settings(settings: Settings, origins: Mapping[str, Origin], paths: Paths, *, write: bool) -> Chosen:
    """The one that the settings name. With `write`, the last good copy of it where it is broken."""
    now = time.time()
    key = Path(settings.tls.key) if settings.tls.key else None
    origin = " ".join(each for each in (settings.tls.certificate, settings.tls.key) if each)
    found = check.check(Path(settings.tls.certificate), key, now)
    if isinstance(found, Pair):
        return Chosen(found, "settings", origin)
    copy = check.read_copy(paths.served, origin, now) if write else None
    if copy is not None:
        there = replace(copy, certificate_file=Path(settings.tls.certificate), key_file=key or copy.key_file)
        return Chosen(there, "settings", origin, warnings=(_broken(found),))
    if found.missing and paths.mode != "foreground":
        return Chosen(waiting=(Trouble("certificate-missing", found.text, found.advice),))
    return Chosen(problems=(f"{origins['tls.certificate']}: {found.text}; {found.advice}",))


def _installed(paths: Paths, *, write: bool) -> Chosen:
    """An installed one is never a reason to refuse: the server serves with another one rather than not at all."""
    now, origin = time.time(), str(paths.installed)
    found = check.check(paths.installed, None, now)
    if isinstance(found, Pair):
        return Chosen(found, "installed", origin)
    if found.missing and not paths.installed.is_symlink():
        return Chosen()
    copy = check.read_copy(paths.served, origin, now) if write else None
    there = None if copy is None else replace(copy, certificate_file=paths.installed, key_file=paths.installed)
    return Chosen(there, "installed", origin, warnings=(_broken(found),))


def _broken(found: PairProblem) -> Trouble:
    return Trouble("certificate-broken", f"{found.text}; the previous certificate is served", found.advice)


def _own(settings: Settings, paths: Paths, machine: addresses.Interfaces, *, write: bool) -> Chosen:
    names, literal = addresses.certificate_names(settings.server, machine)
    now, warnings = time.time(), list[Trouble]()
    signer = authority.read(paths.authority)
    file, source = paths.self_signed, "self-signed"
    if isinstance(signer, authority.Authority):
        file, source = paths.local_leaf, "local"
    elif not signer.missing or paths.authority.is_symlink():
        warnings.append(Trouble("certificate-authority", signer.text, signer.advice))
    try:
        if write and isinstance(signer, authority.Authority):
            ensured = authority.ensure(paths.local_leaf, signer, names, literal, now)
            warnings += _left_out(ensured, signer)
        elif write:
            make.ensure(paths.self_signed, names, literal, now)
    except OSError as error:
        trouble = checks.unwritable(error, paths)
        if not isinstance(check.check(file, None, now), Pair):
            return Chosen(waiting=(trouble,))
        warnings.append(trouble)  # the present one serves
    except ValueError as error:
        return Chosen(problems=(f"{error}; see server.names, and the name of this machine: hostnamectl",))
    found = check.check(file, None, now)
    if isinstance(found, Pair):
        return Chosen(found, source, str(file), warnings=tuple(warnings))
    # Without `write` it may not have been made yet.
    return Chosen(problems=() if found.missing and not write else (f"{found.text}; {found.advice}",))


def _left_out(ensured: authority.Ensured, signer: authority.Authority) -> list[Trouble]:
    if not ensured.left_out:
        return []
    text = (
        f"the authority {signer.name!r} may not sign for {', '.join(ensured.left_out)}: browsers warn about those names"
    )
    return [
        Trouble(
            "certificate-names", text, "jupyterd cert new --new-authority; then add the new authority to every device"
        )
    ]
