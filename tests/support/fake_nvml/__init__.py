"""A fake libnvidia-ml.so.1 for the real pynvml: built on the fly, told what to say by a text file beside it.

fake_nvml.c says what the file may hold. `build(directory)`, put the directory first in LD_LIBRARY_PATH, `write(...)`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("fake_nvml.c")
GPU: Mapping[str, object] = {
    "name": "NVIDIA GeForce RTX 4090",
    "samples": "80 90 100",
    "utilisation": 90,
    "memory_total": 24564 * 1024**2,
    "memory_used": 10 * 1024**3,
    "temperature": 71,
    "power_mw": 310_200,
    "energy_mj": 1_000_000,
}


def need_compiler() -> None:
    """Skips the test where the fake cannot be built."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: sudo apt install gcc libc6-dev")


def build(directory: Path, without: Sequence[str] = ()) -> Path:
    """Compile libnvidia-ml.so.1 into `directory`, lacking the functions named in `without`; its path."""
    need_compiler()
    directory.mkdir(parents=True, exist_ok=True)
    library = directory / "libnvidia-ml.so.1"
    command = [
        "cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror",
        "-Wl,-soname,libnvidia-ml.so.1", "-o", str(library), str(_SOURCE),
    ]  # fmt: skip
    if without:
        versions = directory / "versions"
        versions.write_text("{ local: " + " ".join(f"{name};" for name in without) + " };\n", "ascii")
        command.append(f"-Wl,--version-script={versions}")
    subprocess.run(command, check=True, timeout=60)
    return library


def gpu(index: int, **figures: object) -> dict[str, object]:
    """The lines of one healthy GPU; None takes a line away."""
    bus = f"00000000:{index + 1:02X}:00.0"
    lines = {**GPU, "uuid": f"GPU-{index:08d}-0000-0000-0000-000000000000", "bus": bus, **figures}
    return {f"gpu{index}.{name}": value for name, value in lines.items() if value is not None}


def write(directory: Path, lines: Mapping[str, object]) -> None:
    """Replace the state in one step: the library may be reading it."""
    new = directory / "state.new"
    new.write_bytes(b"".join(_bytes(name) + b" = " + _bytes(value) + b"\n" for name, value in lines.items()))
    new.replace(directory / "state")


def environment(directory: Path) -> dict[str, str]:
    """An environment in which pynvml finds the fake."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LD_LIBRARY_PATH": str(directory)}


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
