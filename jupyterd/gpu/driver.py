"""Is there an NVIDIA driver, and does its library fit it? From files alone, in milliseconds: NVML may block for ever.

The planner asks whether to start a sampler. The sampler asks whether the next program can still use the GPU: after an
upgrade of the packages the running driver is the old one until the next boot, and NVML refuses new programs.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from pathlib import Path

LIBRARY = "libnvidia-ml.so.1"
"""What pynvml loads, by this name and through the loader's own search."""
ELSEWHERE = ("/usr/lib/wsl/lib", "/usr/local/nvidia/lib64", "/run/opengl-driver/lib")
"""Directories of the library that the loader may not search: WSL, containers of some clouds, NixOS."""
_KERNEL_SIDE = ("proc/driver/nvidia/version", "dev/nvidiactl")
_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"
_NUMBER = re.compile(r"\b(\d{2,}\.\d+(?:\.\d+)*)\b")
_SUFFIX = re.compile(r"\.so\.(\d{2,}\.\d+(?:\.\d+)*)$")


def driver_present(root: str = "/", environ: Mapping[str, str] | None = None) -> bool:
    """Whether a sampler would have something to ask, or to report. `environ` is the environment that it would get."""
    return absence(root, environ) is None


def absence(root: str = "/", environ: Mapping[str, str] | None = None) -> str | None:
    """None where there is a driver; else one line that says what is missing.

    There is one when any of these holds:
    - its kernel module is loaded (if the library is missing, the sampler reports it);
    - its library lies in a directory of LD_LIBRARY_PATH;
    - its library is installed and there is an NVIDIA GPU for it, on the PCI bus or as /dev/dxg (WSL): the kernel
      module may be loaded later, by the first user of the GPU (nvidia-modprobe(1)).
    The library alone is not enough: distributions install it on machines without any GPU.
    """
    place = Path(root)
    if any((place / each).exists() for each in _KERNEL_SIDE):
        return None
    path = (environ or {}).get("LD_LIBRARY_PATH", "")
    if any((Path(each) / LIBRARY).exists() for each in path.split(":") if each):
        return None
    gpu = _on_the_bus(place)
    installed = _installed(place)
    if installed and (gpu or (place / "dev/dxg").exists()):
        return None
    if gpu:
        return "no driver for the NVIDIA GPU: GPU monitoring is off (on Debian: sudo apt install nvidia-driver)"
    return "no NVIDIA driver: GPU monitoring is off"


def pci_gpus(root: str = "/") -> tuple[Path, ...]:
    """The sysfs directory of each NVIDIA display device, in bus order; () where sysfs cannot be read."""
    devices = Path(root) / "sys/bus/pci/devices"
    try:
        found = sorted(devices.iterdir())
    except OSError:
        return ()
    return tuple(each for each in found if _says(each / "vendor", _NVIDIA) and _says(each / "class", _DISPLAY_CLASS))


def running_version(root: str = "/") -> str | None:
    """Version of the driver in the kernel, as "550.54.15"; None where /proc does not say (WSL, no driver)."""
    try:
        first = (Path(root) / "proc/driver/nvidia/version").read_text("utf-8", "replace").partition("\n")[0]
    except OSError:
        return None
    found = _NUMBER.search(first)
    return found[1] if found else None


def installed_version(library: str | None) -> str | None:
    """Version of the library that the next program will load: that of the file behind the link beside `library`.

    None where `library` is None or the file has no version in its name.
    """
    if library is None:
        return None
    try:
        found = _SUFFIX.search((Path(library).parent / LIBRARY).resolve(strict=True).name)
    except OSError:
        return None
    return found[1] if found else None


def loaded_library(maps: str) -> str | None:
    """Path of the library that a process has loaded, from the text of its /proc/PID/maps; None if it has none.

    An upgrade may have deleted that file since (proc_pid_maps(5): " (deleted)").
    """
    for line in maps.splitlines():
        path = line.partition("/")[2]
        if "/libnvidia-ml.so" in f"/{path}":
            return f"/{path}".removesuffix(" (deleted)")
    return None


def version_mismatch(root: str = "/") -> tuple[str, str] | None:
    """(version of the running driver, version of the library on disk) where both are known and differ, else None."""
    kernel = running_version(root)
    if kernel is None:
        return None
    library = installed_version(loaded_library(Path("/proc/self/maps").read_text("utf-8", "replace")))
    return None if library is None or library == kernel else (kernel, library)


def foreseen(root: str = "/") -> str | None:
    """Frame.foreseen: one sentence about versions that differ; None while they agree or are unknown."""
    found = version_mismatch(root)
    if found is None:
        return None
    kernel, library = found
    return (
        f"the NVIDIA driver's library on disk is {library} and the running driver is {kernel}: "
        "programs that start from now on cannot use the GPU"
    )


def _on_the_bus(place: Path) -> bool:
    return bool(pci_gpus(str(place)))


def _says(file: Path, beginning: str) -> bool:
    try:
        return file.read_text("ascii", "replace").startswith(beginning)
    except OSError:
        return False


def _installed(place: Path) -> bool:
    """Whether the library is in the loader's cache (ld.so(8)), in its default directories, or in ELSEWHERE."""
    try:
        if LIBRARY.encode() + b"\0" in (place / "etc/ld.so.cache").read_bytes():
            return True
    except OSError:
        pass
    triplet = f"{platform.machine()}-linux-gnu"
    directories = ("lib", "usr/lib", "lib64", "usr/lib64", f"lib/{triplet}", f"usr/lib/{triplet}")
    return any((place / each.lstrip("/") / LIBRARY).exists() for each in (*directories, *ELSEWHERE))
