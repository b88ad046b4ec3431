"""A file system that can hang: an empty directory, served over /dev/fuse (include/uapi/linux/fuse.h) by a process of
its own, which a test stops and continues. Only root can mount it.

Run as a program: `python stalled_fs.py DIRECTORY` mounts it, says so, and serves until it is killed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN, _OUT = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
_FORGET, _GETATTR, _INIT, _OPENDIR, _READDIR, _INTERRUPT, _BATCH_FORGET, _READDIRPLUS = 2, 3, 26, 27, 28, 36, 42, 44
_SILENT = {_FORGET, _INTERRUPT, _BATCH_FORGET}
_INIT_OUT = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 1, 1, 4096, 1, 0, 0, 0)
_ATTR_OUT = struct.pack("<QII6Q10I", 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
_OPEN_OUT = struct.pack("<QII", 1, 0, 0)
_ANSWERS = {_INIT: _INIT_OUT, _GETATTR: _ATTR_OUT, _OPENDIR: _OPEN_OUT, _READDIR: b"", _READDIRPLUS: b""}
"""Nothing may be kept: whoever looks again asks again."""
_MS_NOSUID_NODEV, _MNT_DETACH = 2 | 4, 2


@contextmanager
def mounted(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process that serves it. While it is stopped (SIGSTOP), whoever looks there waits, whatever the signal."""
    with subprocess.Popen([sys.executable, "-I", __file__, str(directory)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"mounted\n"
            yield process
        finally:
            process.kill()
            _libc().umount2(str(directory).encode(), _MNT_DETACH)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _serve(directory: str) -> None:
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    if _libc().mount(b"stalled", directory.encode(), b"fuse", _MS_NOSUID_NODEV, options.encode()):
        raise OSError(ctypes.get_errno(), "mount")
    os.write(1, b"mounted\n")
    while True:
        asked = os.read(fd, 1 << 17)
        _, opcode, unique, *_ = _IN.unpack_from(asked)
        if opcode in _SILENT:
            continue
        body = _ANSWERS.get(opcode)
        error = -errno.ENOSYS if body is None else 0
        os.write(fd, _OUT.pack(_OUT.size + len(body or b""), error, unique) + (body or b""))


if __name__ == "__main__":
    _serve(sys.argv[1])
