"""Is there an NVIDIA driver? Told from files alone, in milliseconds: NVML itself may block for ever.

Used by the planner, which decides whether a sampler is started.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

LIBRARY = "libnvidia-ml.so.1"
"""What pynvml loads, by this name and through the loader's own search."""
ELSEWHERE = ("/usr/lib/wsl/lib", "/usr/local/nvidia/lib64", "/run/opengl-driver/lib")
"""Where else it lies when the loader does not know: WSL, containers of some clouds, NixOS."""
_KERNEL_SIDE = ("proc/driver/nvidia/version", "dev/nvidiactl")
_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"


def driver_present(root: str = "/", environ: Mapping[str, str] | None = None) -> bool:
    """Whether a sampler has something to ask, or to report. `environ` is that of the sampler-to-be."""
    return absence(root, environ) is None


def absence(root: str = "/", environ: Mapping[str, str] | None = None) -> str | None:
    """None where there is a driver; else the one line that says what is missing.

    There is one when any of these holds:
    - its kernel side is loaded (the library may be missing: the sampler then says so);
    - LD_LIBRARY_PATH leads to its library: whoever sets that means it;
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
        return (
            "an NVIDIA GPU is here but no NVIDIA driver: GPU lines are off (on Debian: sudo apt install nvidia-driver)"
        )
    return "no NVIDIA driver: GPU lines are off"


def pci_gpus(root: str = "/") -> tuple[Path, ...]:
    """The sysfs directory of each NVIDIA display device, in bus order; none where sysfs cannot be read."""
    devices = Path(root) / "sys/bus/pci/devices"
    try:
        found = sorted(devices.iterdir())
    except OSError:
        return ()
    return tuple(each for each in found if _says(each / "vendor", _NVIDIA) and _says(each / "class", _DISPLAY_CLASS))


def _on_the_bus(place: Path) -> bool:
    return bool(pci_gpus(str(place)))


def _says(file: Path, beginning: str) -> bool:
    try:
        return file.read_text("ascii", "replace").startswith(beginning)
    except OSError:
        return False


def _installed(place: Path) -> bool:
    """Whether it is found: the loader's cache (ld.so(8)), the directories that it always searches, and the others."""
    try:
        if LIBRARY.encode() + b"\0" in (place / "etc/ld.so.cache").read_bytes():
            return True
    except OSError:
        pass
    triplet = f"{platform.machine()}-linux-gnu"
    directories = ("lib", "usr/lib", "lib64", "usr/lib64", f"lib/{triplet}", f"usr/lib/{triplet}")
    return any((place / each.lstrip("/") / LIBRARY).exists() for each in (*directories, *ELSEWHERE))
