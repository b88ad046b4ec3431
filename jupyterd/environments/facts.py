"""What the files of an environment say about it: its kind, name, Python and ipykernel. Starts no process."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jupyterd.linux import files
from jupyterd.text import advised, printable

Kind = Literal["conda", "pixi", "venv", "virtualenv", "uv", "pyenv", "python"]
"""conda is also what mamba and micromamba made; python is an installation, such as /usr."""

_UNSPECIFIC = {".venv", "venv", ".env", "env", ".virtualenv", "virtualenv"}
"""Names that say nothing: the directory around it does."""
_LIB = re.compile(r"python(3\.\d+)t?")
_CONDA_PYTHON = re.compile(r"python-(3\.[\w.]+)-[^-]+\.json")
_KERNEL = re.compile(r"ipykernel-([\w.+!]+)\.(?:dist|egg)-info")
_SITES = ("site-packages", "dist-packages")
_CONFIGURATION_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment; `path` is its directory, absolute, as it was found. `trouble` "" if a Python can be started."""

    path: str
    name: str
    kind: Kind
    python: str = ""
    """The version, "3.11" or "3.11.4"; "" if unknown or none."""
    ipykernel: str = ""
    """Its version; "" if it is not installed."""
    pip: bool = False
    trouble: str = ""
    """Why no kernel can run there, whatever is installed: "its Python /usr/bin/python3.9 is gone"."""
    cure: str = ""
    """What to type about `trouble`, or the empty text."""
    kernelspecs: tuple[str, ...] = ()
    """Names of the kernels of other languages in its share/jupyter/kernels."""

    @property
    def interpreter(self) -> str:
        """The path of its Python."""
        return f"{self.path}/bin/python"

    @property
    def is_conda(self) -> bool:
        """Whether it is activated as conda does it."""
        return self.kind in {"conda", "pixi"}

    @property
    def refusal(self) -> str:
        """One sentence about `trouble`, for a person, with what to type."""
        cure = self.cure or f"jupyterd env remove {shlex.quote(self.path)}"
        sentence = f"{self.name} ({self.path}) cannot be used: {self.trouble}"
        return printable(f"{sentence}; {advised(f'type: {cure}')}")

    @property
    def can_serve(self) -> bool:
        """Whether a Python kernel can start there, as far as its files say."""
        return bool(self.ipykernel) and not self.trouble


def look_at(path: Path) -> Environment | None:
    """The environment in this directory; None if there is none. Blocks as the disk does; OSError is None too."""
    try:
        return _look_at(path)
    except OSError:
        return None


def _look_at(path: Path) -> Environment | None:
    configuration = _configuration(path / "pyvenv.cfg")
    is_conda = (path / "conda-meta").is_dir()
    python = path / "bin/python"
    present = os.path.lexists(python)
    if configuration is None and not is_conda and not (present and _lib(path)):
        return None
    if is_conda and not present and not any((path / "share/jupyter/kernels").glob("*/kernel.json")):
        return None  # conda's own directory for a base that was never filled, or tools without a language
    kind = _kind(path, configuration, is_conda=is_conda)
    trouble, cure = _trouble(path, python, kind, configuration or {}, present=present)
    return Environment(
        path=str(path), name=_name(path, kind), kind=kind, python=_version(path, configuration, is_conda=is_conda),
        ipykernel=_ipykernel(path, configuration or {}), pip=os.access(path / "bin/pip", os.X_OK),
        trouble=trouble, cure=cure, kernelspecs=_kernelspecs(path),
    )  # fmt: skip


def _configuration(file: Path) -> dict[str, str] | None:
    """The lines of a pyvenv.cfg, keys in small letters; None if there is no such file."""
    try:
        text = files.read_untrusted(os.path.realpath(file), most=_CONFIGURATION_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip().lower(): value.strip() for key, sign, value in pairs if sign}


def _kind(path: Path, configuration: dict[str, str] | None, *, is_conda: bool) -> Kind:
    if is_conda:
        return "pixi" if path.parent.name == "envs" and path.parent.parent.name == ".pixi" else "conda"
    if configuration is not None:
        return "uv" if "uv" in configuration else "virtualenv" if "virtualenv" in configuration else "venv"
    return "pyenv" if path.parent.name == "versions" else "python"


def _name(path: Path, kind: Kind) -> str:
    if kind == "pixi":
        project = path.parent.parent.parent.name
        return project if path.name == "default" else f"{project}:{path.name}"
    if kind == "conda" and path.parent.name != "envs" and (path / "condabin").is_dir():
        return "base"
    return path.parent.name if path.name in _UNSPECIFIC and path.parent.name else path.name


def _lib(path: Path) -> list[str]:
    """The names of its library directories: "python3.11"."""
    try:
        return sorted(each for each in os.listdir(path / "lib") if _LIB.fullmatch(each))  # noqa: PTH208 - names
    except OSError:
        return []


def _version(path: Path, configuration: dict[str, str] | None, *, is_conda: bool) -> str:
    if is_conda:
        try:
            names = os.listdir(path / "conda-meta")  # noqa: PTH208 - names
        except OSError:
            names = []
        return next((found[1] for each in names if (found := _CONDA_PYTHON.fullmatch(each))), "")
    told = (configuration or {}).get("version_info") or (configuration or {}).get("version", "")
    if found := re.match(r"3\.\d+(?:\.\d+)?", told):
        return found[0]
    names = _lib(path)
    match = _LIB.fullmatch(names[-1]) if names else None
    return match[1] if match else ""


def _ipykernel(path: Path, configuration: dict[str, str]) -> str:
    """Its version, also where the environment takes packages of the Python that it was made from."""
    libraries = [path / "lib" / name for name in _lib(path)]
    bases = [path / "lib/python3"] if str(path) == "/usr" else []
    if configuration.get("include-system-site-packages", "").lower() == "true" and (home := configuration.get("home")):
        base = Path(home).parent
        bases += [*(base / "lib" / name for name in _lib(base)), base / "lib/python3"]
    for library in (*libraries, *bases):
        for site in _SITES:
            try:
                names = os.listdir(library / site)  # noqa: PTH208 - names
            except OSError:
                continue
            version = next((found[1] for each in names if (found := _KERNEL.fullmatch(each))), "")
            if version or (library / site / "ipykernel/__init__.py").is_file():
                return version or "unknown"
    return ""


def _kernelspecs(path: Path) -> tuple[str, ...]:
    kernels = path / "share/jupyter/kernels"
    try:
        names = sorted(os.listdir(kernels))  # noqa: PTH208 - names
    except OSError:
        return ()
    return tuple(each for each in names if each != "python3" and (kernels / each / "kernel.json").is_file())


def _trouble(path: Path, python: Path, kind: Kind, configuration: dict[str, str], *, present: bool) -> tuple[str, str]:
    """(why no Python can be started there, what to type); two empty texts if it can, as far as its files say."""
    shown = shlex.quote(str(path))
    if kind in {"conda", "pixi"} and not present:
        return (
            "it has no Python",
            f"conda install -p {shown} python ipykernel" if kind == "conda" else "pixi add python",
        )
    if os.access(python, os.X_OK):
        return "", ""
    meant = _last_target(python)
    if os.path.lexists(meant) and os.path.exists(meant):  # noqa: PTH110 - as the line above
        return f"its Python {meant} cannot be run by this account", ""
    return f"its Python {meant} is gone", _make_again(path, meant, kind, configuration)


def _last_target(link: Path) -> str:
    """Where a chain of symbolic links ends, whether something is there or not."""
    return os.path.realpath(link)


def _make_again(path: Path, meant: str, kind: Kind, configuration: dict[str, str]) -> str:
    shown = shlex.quote(str(path))
    version = configuration.get("version_info") or configuration.get("version") or ""
    if (found := re.search(r"/\.?pyenv/versions/([\w.-]+)/", meant)) is not None:
        return f"pyenv install {found[1]}"
    if kind == "uv" or "/uv/python/" in meant:
        series = re.match(r"3\.\d+", version)
        return f"uv python install {series[0]}" if series else "uv python install"
    if kind in {"conda", "pixi", "python", "pyenv"}:
        return ""
    return f"python3 -m venv --clear {shown}   # and install its packages again"
