"""Programs of the machine, asked with a deadline and in English."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_ANSWER_S = 5.0


class NoAnswer(Exception):  # noqa: N818 - it is what happened
    """Why a program gave none, as a phrase."""


def said(
    *argv: str, within_s: float = _ANSWER_S, codes: Sequence[int] = (0,), environ: Mapping[str, str] | None = None
) -> str:
    """Its standard output. NoAnswer where it is not installed, takes too long or exits with another code."""
    environ = environ or {"PATH": _PATH, "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}"}
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=within_s,
            check=False, env=environ, cwd="/",
        )  # fmt: skip
    except FileNotFoundError:
        raise NoAnswer(f"{argv[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"{argv[0]} did not answer within {within_s:g} s") from None
    except OSError as error:
        raise NoAnswer(f"{argv[0]}: {error.strerror or error}") from None
    if done.returncode not in codes:
        why = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise NoAnswer(f"{argv[0]}: {why[0] if why else f'exit code {done.returncode}'}")
    return done.stdout
