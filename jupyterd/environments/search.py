"""Where environments are: the places in which each tool keeps them, and a bounded walk through the home directory.

Reads directories and small files only. A disk that does not answer blocks it: listing.py runs it as a process.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from jupyterd.linux import files

DEEPEST = 5
"""Directories below the place where the walk begins: ~/work/client/project/.venv is found."""
DIRECTORIES_MOST = 20_000
WALK_S = 4.0
_HIDDEN = {".venv", ".env", ".virtualenv", ".virtualenvs", ".venvs", ".envs", ".pixi", ".conda", ".mamba"}
"""Directories whose names begin with a dot and that may be, or hold, an environment."""
_PASSED = {"node_modules", "__pycache__", "site-packages", "lost+found", "snap", "pkgs"}
_FAR = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "autofs", "9p", "ceph", "glusterfs", "lustre", "afs", "beegfs", "fuse"}
_NO_DISKS = {"proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "debugfs", "tracefs", "securityfs"}
_ROOTS = (
    "miniconda3", "miniconda", "anaconda3", "anaconda", "miniforge3", "miniforge", "mambaforge", "micromamba", "conda",
    ".micromamba", "mamba", ".mamba", ".conda",
)  # fmt: skip
_LIST_BYTES = 1 << 20


def found(home: Path, environ: Mapping[str, str], places: tuple[Path, ...], clock_s: float = WALK_S) -> Iterator[Path]:
    """Directories that may be environments, each once by its real path, the surest first. `places` are walked after
    the home directory; `clock_s` bounds the walk.
    """
    seen: set[str] = set()
    for each in itertools.chain(_kept_by_tools(home, environ), _walked((home, *places), clock_s)):
        real = os.path.realpath(each)
        if real not in seen:
            seen.add(real)
            yield each


def _kept_by_tools(home: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    yield from _conda(home, environ)
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    for version in _inside(pyenv):
        if not version.is_symlink():  # pyenv-virtualenv names each environment a second time
            yield version
            yield from _inside(version / "envs")
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local/share")
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    together = [
        Path(environ.get("WORKON_HOME") or home / ".virtualenvs"), home / ".venvs", home / "venvs", home / ".envs",
        data / "virtualenvs", cache / "pypoetry/virtualenvs", home / ".pixi/envs",
    ]  # fmt: skip
    for place in together:
        yield from _inside(place)
    for project in _inside(data / "hatch/env/virtual"):
        for each in _inside(project):
            yield from _inside(each)


def _conda(home: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """conda, mamba and micromamba write every environment that they make into one file."""
    listed = _lines(home / ".conda/environments.txt")
    bases = [Path(where) / name for where in (str(home), "/opt", "/usr/local") for name in _ROOTS]
    bases += [Path(value) for name in ("MAMBA_ROOT_PREFIX", "CONDA_ROOT") if (value := environ.get(name))]
    if program := environ.get("CONDA_EXE"):
        bases.append(Path(program).parent.parent)
    bases += [Path(each).parent.parent for each in listed if Path(each).parent.name == "envs"]
    for base in dict.fromkeys([*bases, home / ".local/share/mamba"]):
        yield base
        yield from _inside(base / "envs")
    for line in listed:
        yield Path(line)
    for rc in (home / ".condarc", home / ".mambarc", home / ".conda/.condarc", home / ".config/conda/.condarc"):
        for directory in _configured(rc, home):
            yield from _inside(directory)


def _configured(rc: Path, home: Path) -> Iterator[Path]:
    """The items of `envs_dirs:` in a .condarc: a list in YAML, in block or flow style."""
    inside = False
    for line in _lines(rc):
        if head := re.match(r"(\w+)\s*:\s*(?:\[(.*)\])?\s*$", line):
            inside = head[1] in {"envs_dirs", "envs_path"}
            words = (head[2] or "").split(",") if inside else []
        elif inside and (item := re.match(r"\s*-\s*(.+?)\s*$", line)):
            words = [item[1]]
        else:
            continue
        for word in words:
            text = word.strip().strip("'\"")
            text = re.sub(r"^(~|\$HOME|\$\{HOME\})(?=/|$)", str(home), text)
            if text.startswith("/"):
                yield Path(text)


def _walked(places: tuple[Path, ...], clock_s: float) -> Iterator[Path]:
    """Environments in projects: breadth first, without other people's directories and without network disks that are
    mounted below.
    """
    until, left, mine = time.monotonic() + clock_s, DIRECTORIES_MOST, {0, os.geteuid()}
    far = _far_mounts()
    waiting = [(each, 0) for each in dict.fromkeys(places)]
    for place, depth in waiting:
        left -= 1
        if left < 0 or time.monotonic() > until:
            return
        if depth and str(place) in far:
            continue
        try:
            with os.scandir(place) as entries:
                inner = [each for each in entries if each.is_dir(follow_symlinks=False)]
                here = {each.name for each in inner}
            owner = place.stat().st_uid
        except OSError:
            continue
        if owner not in mine:
            continue
        if "conda-meta" in here or ("bin" in here and (place / "pyvenv.cfg").is_file()):
            yield place
            continue
        if depth < DEEPEST:
            waiting += [(Path(each.path), depth + 1) for each in sorted(inner, key=lambda one: one.name) if _may(each)]


def _may(entry: os.DirEntry[str]) -> bool:
    return entry.name in _HIDDEN or (not entry.name.startswith(".") and entry.name not in _PASSED)


def _far_mounts() -> set[str]:
    """Where network disks are mounted (proc_pid_mountinfo(5)): one that does not answer would end the search. And what
    is no disk: notebooks may be served from "/".
    """
    found = set()
    for line in _lines(Path("/proc/self/mountinfo")):
        words = line.split(" ")
        kind = words[words.index("-") + 1] if "-" in words else ""
        if kind in _FAR | _NO_DISKS or kind.startswith("fuse."):
            found.add(re.sub(r"\\([0-7]{3})", lambda one: chr(int(one[1], 8)), words[4]))
    return found


def _inside(directory: Path) -> list[Path]:
    try:
        return sorted(each for each in directory.iterdir() if each.is_dir())
    except OSError:
        return []


def _lines(file: Path) -> list[str]:
    try:
        if str(file).startswith("/proc/"):
            return file.read_text(encoding="utf-8", errors="replace").splitlines()
        return files.read_untrusted(os.path.realpath(file), most=_LIST_BYTES).decode(errors="replace").splitlines()
    except (OSError, ValueError):
        return []
