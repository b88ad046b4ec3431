"""A disk that stalls: an ext4 file system in a file, which fsfreeze(8) keeps from being written to. Only root can."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SIZE = 16 << 20


@dataclass(frozen=True)
class Disk:
    """It is mounted at `there`. Whoever writes to it while it is frozen waits in state D."""

    there: Path

    def freeze(self) -> None:
        subprocess.run(["fsfreeze", "--freeze", str(self.there)], check=True)

    def thaw(self) -> None:
        """Not an error if it is not frozen."""
        subprocess.run(["fsfreeze", "--unfreeze", str(self.there)], stderr=subprocess.DEVNULL, check=False)


@contextmanager
def mounted(there: Path, image: Path, owner: int) -> Iterator[Disk]:
    """A disk at `there`, an empty directory, kept in the file `image`."""
    if any(shutil.which(each) is None for each in ("mkfs.ext4", "fsfreeze")):
        pytest.skip("mkfs.ext4 is missing: sudo apt install e2fsprogs util-linux")
    with image.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-E", f"root_owner={owner}:{owner}", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(there)], check=False).returncode:
        pytest.skip("no loop device can be mounted here")
    disk = Disk(there)
    try:
        yield disk
    finally:
        disk.thaw()
        subprocess.run(["umount", "--lazy", str(there)], check=True)
        image.unlink()
