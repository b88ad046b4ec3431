"""The NVIDIA driver: loaded, of one version, with its device nodes, and there after the next boot. From files and
`modinfo` alone: the driver itself may hang.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from jupyterd.cli.doctor import programs
from jupyterd.cli.doctor.programs import NoAnswer
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.gpu import driver
from jupyterd.text import plural

SUBJECT = "gpu"
_NODES = "sudo nvidia-modprobe -c0 -u"
_BUILD = "sudo apt install linux-headers-$(uname -r) && sudo dkms autoinstall && sudo modprobe nvidia"
_MODULE = re.compile(r"nvidia(-(current|tesla|legacy|open)[\w.-]*)?\.ko")
"""Of NVIDIA's own installer, and of Debian's packages."""
_HOLDS = ("nouveau", "nova_core")
"""Other drivers of the same hardware."""


def examine(root: str = "/") -> Iterator[Verdict]:
    """`root` is another one in tests."""
    place, gpus = Path(root), driver.pci_gpus(root)
    running = driver.running_version(root)
    if not gpus and running is None and not (place / "dev/nvidiactl").exists():
        yield Verdict(SUBJECT, "good", "there is no NVIDIA GPU in this machine")
        return
    if running is None and gpus:
        yield _not_loaded(place, len(gpus))
        return
    library = driver.installed_version(_library(place))
    if running and library and library != running:
        text = f"the driver in memory is {running}, its library on the disk {library}: new programs get no GPU"
        yield Verdict(SUBJECT, "wrong", text, ("sudo reboot",))
    yield from _nodes(place, len(gpus))
    yield from _next_boot(place)
    persistent = "" if (place / "run/nvidia-persistenced/socket").exists() else "; persistence daemon: off"
    count = f"{plural(len(gpus), 'GPU')}, " if gpus else ""
    yield Verdict(SUBJECT, "good", f"{count}driver {running or 'of the machine around this one'}{persistent}")


def _not_loaded(place: Path, count: int) -> Verdict:
    gpus = f"{plural(count, 'NVIDIA GPU')} in this machine, and no NVIDIA driver in memory"
    for other in _HOLDS:
        if (place / "sys/module" / other).exists():
            text = f"{gpus}: the driver {other} has them"
            return Verdict(SUBJECT, "wrong", text, ("sudo apt install nvidia-driver && sudo reboot",))
    kernel = platform.release()
    if _has_module(place, kernel):
        return Verdict(SUBJECT, "wrong", gpus, ("sudo modprobe nvidia", "sudo dmesg | grep -i -e nvidia -e nvrm"))
    if any(_has_module(place, each) for each in _kernels(place)):
        text = f"{gpus}: its module is not built for the running kernel {kernel}"
        return Verdict(SUBJECT, "wrong", text, (_BUILD,))
    return Verdict(SUBJECT, "wrong", f"{gpus}: none is installed", ("sudo apt install nvidia-driver",))


def _nodes(place: Path, count: int) -> Iterator[Verdict]:
    wanted = ["nvidiactl", "nvidia-uvm", *(f"nvidia{number}" for number in range(count))]
    missing = [f"/dev/{each}" for each in wanted if not (place / "dev" / each).exists()]
    if missing:
        yield Verdict(SUBJECT, "wrong", f"device nodes are missing: {', '.join(missing)}", (_NODES,))
    closed = [
        f"/dev/{each}"
        for each in wanted
        if (place / "dev" / each).exists() and not os.access(place / "dev" / each, os.R_OK | os.W_OK)
    ]
    if closed:
        text = f"this account may not use {', '.join(closed)}"
        yield Verdict(
            SUBJECT, "wrong", text, (f"ls -l {closed[0]}", f"sudo usermod -aG $(stat -c %G {closed[0]}) $USER")
        )


def _next_boot(place: Path) -> Iterator[Verdict]:
    """The newest kernel is the one that boots next, as a rule."""
    kernels = _kernels(place)
    if kernels and _has_module(place, platform.release()) and not _has_module(place, kernels[-1]):
        text = f"the NVIDIA module is not built for the kernel {kernels[-1]}: after the next boot there is no GPU"
        headers = f"sudo apt install linux-headers-{kernels[-1]} && sudo dkms autoinstall -k {kernels[-1]}"
        yield Verdict(SUBJECT, "wrong", text, (headers,))


def _kernels(place: Path) -> list[str]:
    """Installed ones, oldest first (Debian's own names sort so by their numbers)."""
    found = [each.name for each in (place / "lib/modules").glob("*") if (each / "modules.dep").exists()]
    return sorted(found, key=_number)


def _number(name: str) -> list[tuple[int, str]]:
    parts = name.replace("-", ".").replace("+", ".").split(".")
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]


def _has_module(place: Path, kernel: str) -> bool:
    base = place / "lib/modules" / kernel
    try:
        listed = (base / "modules.dep").read_text(errors="replace")
    except OSError:
        listed = ""
    return any(_MODULE.match(line.partition(":")[0].rpartition("/")[2]) for line in listed.splitlines())


def _library(place: Path) -> str | None:
    """Where the loader finds NVML, from its cache (ldconfig(8))."""
    try:
        said = programs.said("ldconfig", "-p") if place == Path("/") else (place / "ldconfig").read_text()
    except (NoAnswer, OSError):
        return None
    lines = [line for line in said.splitlines() if line.strip().startswith(driver.LIBRARY)]
    return lines[0].rpartition("=> ")[2].strip() if lines else None
