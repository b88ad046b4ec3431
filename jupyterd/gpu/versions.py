"""Driver and library: will the next program still find a pair that fits? Told from files alone.

After an upgrade of the packages the running driver is the old one until the next boot, and NVML refuses new programs.
"""

from __future__ import annotations

import re
from pathlib import Path

from jupyterd.gpu.driver import LIBRARY

_NUMBER = re.compile(r"\b(\d{2,}\.\d+(?:\.\d+)*)\b")
_SUFFIX = re.compile(r"\.so\.(\d{2,}\.\d+(?:\.\d+)*)$")


def running(root: str = "/") -> str | None:
    """Version of the kernel's side; None where it does not say (WSL, no driver)."""
    try:
        first = (Path(root) / "proc/driver/nvidia/version").read_text("utf-8", "replace").partition("\n")[0]
    except OSError:
        return None
    found = _NUMBER.search(first)
    return found[1] if found else None


def installed(loaded: str | None) -> str | None:
    """Version of the library that the next program will load, by the file behind the link beside the loaded one."""
    if loaded is None:
        return None
    try:
        found = _SUFFIX.search((Path(loaded).parent / LIBRARY).resolve(strict=True).name)
    except OSError:
        return None
    return found[1] if found else None


def loaded(maps: str) -> str | None:
    """Where this process has the library from, out of /proc/self/maps; an upgrade may have deleted that file."""
    for line in maps.splitlines():
        path = line.partition("/")[2]
        if "/libnvidia-ml.so" in f"/{path}":
            return f"/{path}".removesuffix(" (deleted)")
    return None


def unlike(root: str = "/") -> tuple[str, str] | None:
    """(version of the running driver, of the library on disk) where both are known and differ."""
    kernel = running(root)
    if kernel is None:
        return None
    library = installed(loaded(Path("/proc/self/maps").read_text("utf-8", "replace")))
    return None if library is None or library == kernel else (kernel, library)


def foreseen(root: str = "/") -> str | None:
    """One sentence, or None while all is well or unknown."""
    found = unlike(root)
    if found is None:
        return None
    kernel, library = found
    return (
        f"the NVIDIA driver's library on disk is {library} and the running driver is {kernel}: "
        "programs that start from now on cannot use the GPU"
    )
