"""What a Jupyter of earlier days has left: settings in ~/.jupyter that nothing reads any more, and front ends of
extensions whose server part is gone.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from jupyterd.cli.doctor.facts import Subject
from jupyterd.cli.doctor.verdict import Verdict

SUBJECT = "jupyter"
_CONFIGURATION = tuple(
    f"jupyter_{name}config.{kind}" for name in ("", "server_", "notebook_", "lab_") for kind in ("py", "json")
)
_SYSTEM = (Path("/usr/local/share/jupyter"), Path("/usr/share/jupyter"))
_READ_MOST = 1 << 20


def examine(what: Subject) -> Iterator[Verdict]:
    """An extension that replaces a class of ours is a problem of the running server."""
    home = Path(what.asked.account.home)
    yield from ignored(home / ".jupyter", what.settings.server.jupyter_config_dir)
    places = (home / ".local/share/jupyter", Path(sys.prefix, "share/jupyter"), *_SYSTEM)
    yield from left_behind([each / "labextensions" for each in places])
    yield Verdict(SUBJECT, "good", "no old settings, and no front end without its server part")


def ignored(old: Path, read: str) -> Iterator[Verdict]:
    """`read`: the directory in [server] jupyter_config_dir."""
    if read and Path(read).resolve() == old.resolve():
        return
    found = [name for name in _CONFIGURATION if (old / name).exists()]
    if found:
        text = (
            f"{', '.join(found)} in {old} {'are' if len(found) > 1 else 'is'} not read: jupyterd has its own settings"
        )
        yield Verdict(SUBJECT, "notice", text, ("jupyterd setup --import",))


def left_behind(places: Sequence[Path]) -> Iterator[Verdict]:
    """Front ends that say which Python package they came with (install.json), and that is not installed."""
    for place in places:
        for file in sorted([*place.glob("*/install.json"), *place.glob("@*/*/install.json")]):
            package = _package(file)
            if package and not _is_installed(package):
                name = file.parent.relative_to(place)
                text = f"the front end {name} is there and its package {package} is not: it fails on every page"
                sudo = "sudo " if not str(place).startswith(str(Path.home())) else ""
                yield Verdict(SUBJECT, "notice", text, (f"{sudo}rm -r {shlex.quote(str(file.parent))}",))


def _package(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            found = json.loads(opened.read(_READ_MOST))
        return str(found["packageName"]) if found.get("packageManager") == "python" else ""
    except (OSError, ValueError, KeyError, AttributeError):
        return ""


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True
