"""Making and repairing the default Python environment of notebooks, in place, finished by a marker file.

A half-made one is replaced; one that somebody else made is completed, never removed. Prints through `say`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyterd.linux import kept

MAKING, MADE = ".jupyterd-making", ".jupyterd-made"
"""Marker files inside it: it is ours and unfinished, ours and finished. A venv cannot be moved, so it is built in
its final place and the marker does what a rename would."""
LEAST = (3, 9)
_STEP_S = 540.0
_LOOK_S = 30.0
_LOCK_EVERY_S = 0.5
_TWINS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX", "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_NO_INDEX": "UV_NO_INDEX", "PIP_CERT": "SSL_CERT_FILE",
}  # fmt: skip

Say = Callable[[str], None]


class EnvironmentFailed(Exception):  # noqa: N818 - past tense, like every event; the sentence in it is for the user
    """The environment could not be made; the message is one sentence with what to type."""


def is_ready(environment: Path) -> bool:
    """Whether a kernel can start in it, by a look at two files (no process is started)."""
    python = environment / "bin/python"
    if not os.access(python, os.X_OK) or (environment / MAKING).exists():
        return False
    return (environment / MADE).exists() or any(environment.glob("lib/python*/site-packages/ipykernel/__init__.py"))


def ensure(environment: Path, say: Say, deadline_s: float = 600.0) -> None:
    """Make or repair it, or wait for another process that does. Raises EnvironmentFailed."""
    until = time.monotonic() + deadline_s
    try:
        environment.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(environment.with_name(f".{environment.name}.lock"), say, until):
            if not is_ready(environment):
                _make(environment, say, until)
    except OSError as error:
        raise EnvironmentFailed(f"{environment}: {error.strerror or error}; is the disk full or read-only?") from error


def _make(environment: Path, say: Say, until: float) -> None:
    python = environment / "bin/python"
    if _is_ours(environment) and _version(python) is None:
        _set_aside(environment, say)
    if (environment / MAKING).exists():
        say(f"Removing the half-made {environment}")
        shutil.rmtree(environment)
    uv = shutil.which("uv")
    if _version(python) is None:
        if environment.exists() and any(environment.iterdir()):
            raise EnvironmentFailed(
                f"{environment} is there, but it is no Python environment; move it away, or name another one under "
                "[kernels] environment"
            )
        base = find_base(need_venv=uv is None)
        say(f"Making the Python environment of notebooks, {environment} (Python {base.version}; once)")
        environment.mkdir(mode=0o700, parents=True, exist_ok=True)
        (environment / MAKING).touch()
        if uv:  # it wants an empty directory or this; --clear is refused where no environment is (uv 0.13)
            _step([uv, "venv", "--quiet", "--allow-existing", "--python", base.path, str(environment)], until)
        else:
            _step([base.path, "-I", "-m", "venv", str(environment)], until)
    completed = not (environment / MAKING).exists()
    _install(python, uv, ("ipykernel", "pip") if uv and not completed else ("ipykernel",), say, until)
    made = {"python": _version(python), "completed": completed}
    (environment / MADE).write_text(json.dumps(made) + "\n", encoding="utf-8")
    (environment / MAKING).unlink(missing_ok=True)
    say("The Python environment of notebooks is ready")


def add_ipykernel(environment: Path, say: Say, deadline_s: float = 600.0) -> None:
    """Install ipykernel into an environment that somebody else has made; nothing else in it changes. EnvironmentFailed,
    also where neither pip nor uv is there to do it.
    """
    uv, python, until = shutil.which("uv"), environment / "bin/python", time.monotonic() + deadline_s
    if uv is None and not _succeeds([str(python), "-I", "-m", "pip", "--version"]):
        raise EnvironmentFailed(f"neither pip in {environment} nor uv is there to install it")
    _install(python, uv, ("ipykernel",), say, until)


def _install(python: Path, uv: str | None, packages: tuple[str, ...], say: Say, until: float) -> None:
    say(f"Installing ipykernel into {python.parent.parent}")
    if uv:
        _step([uv, "pip", "install", "--quiet", "--python", str(python), *packages], until)
    else:
        _step([str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *packages], until)
    _step([str(python), "-c", "import ipykernel"], until)


def _is_ours(environment: Path) -> bool:
    """Whether it was made here, and not by somebody else and completed here."""
    try:
        return json.loads(kept.read(environment / MADE)).get("completed") is not True
    except (OSError, ValueError, AttributeError):
        return False


def _set_aside(environment: Path, say: Say) -> None:
    """Move an environment aside whose Python was removed or upgraded; it is kept to read, not to run."""
    old = environment.with_name(f"{environment.name}.old")
    if old.exists():
        shutil.rmtree(old)
    environment.rename(old)
    say(f"The Python of {environment} is gone; what was installed there lies in {old} now")


@dataclass(frozen=True, slots=True)
class BaseInterpreter:
    """An interpreter to make environments from; `version` is "3.11"."""

    path: str
    version: str


def find_base(*, need_venv: bool) -> BaseInterpreter:
    """The interpreter that the server's own environment was made from, or another that this account can run."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    candidates = [
        getattr(sys, "_base_executable", ""), f"{sys.base_prefix}/bin/{name}", f"/usr/bin/{name}", "/usr/bin/python3",
        shutil.which("python3") or "",
    ]  # fmt: skip
    seen: set[str] = set()
    without_venv: list[str] = []
    for candidate in candidates:
        real = os.path.realpath(candidate) if candidate else ""
        if not real or real in seen or real.startswith(f"{sys.prefix}/" if sys.prefix != sys.base_prefix else "\0"):
            continue
        seen.add(real)
        version = _version(Path(real))
        if version is None or tuple(int(each) for each in version.split(".")) < LEAST:
            continue
        if not need_venv or _succeeds([real, "-I", "-c", "import venv, ensurepip"]):
            return BaseInterpreter(real, version)
        without_venv.append(version)
    if without_venv:
        raise EnvironmentFailed(
            "this Python cannot make environments; type: sudo apt install python3-venv "
            f"(found without it: Python {', '.join(without_venv)})"
        )
    raise EnvironmentFailed(
        f"no Python >= {LEAST[0]}.{LEAST[1]} that this account can run was found; "
        "type: sudo apt install python3 python3-venv"
    )


def _version(python: Path) -> str | None:
    if not os.access(python, os.X_OK):
        return None
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = _run([str(python), "-I", "-c", script], _LOOK_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 and done.stdout.strip() else None


def _succeeds(argv: list[str]) -> bool:
    try:
        return _run(argv, _LOOK_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _step(argv: list[str], until: float) -> None:
    left = min(_STEP_S, max(1.0, until - time.monotonic()))
    try:
        done = _run(argv, left)
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFailed(
            f"`{' '.join(argv)}` did not end within {left:.0f} s; is the network there? type it to see"
        ) from error
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        raise EnvironmentFailed("\n  ".join([f"`{' '.join(argv)}` failed:", *words]))


def _run(argv: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    hidden = {"VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "CONDA_PREFIX", "__PYVENV_LAUNCHER__", "PIP_USER"}
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    # uv reads none of pip's variables: pass on those that have a twin (as scripts/environment.sh does).
    env |= {twin: env[name] for name, twin in _TWINS.items() if env.get(name) and not env.get(twin)}
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False, env=env
    )


@contextlib.contextmanager
def _locked(path: Path, say: Say, until: float) -> Iterator[None]:
    descriptor = kept.open_own(path, say)
    told = False
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise EnvironmentFailed(f"another process makes this environment for too long ({path})") from error
                if not told:
                    say("Another process makes this environment; waiting for it")
                    told = True
                time.sleep(_LOCK_EVERY_S)
        yield
    finally:
        os.close(descriptor)
