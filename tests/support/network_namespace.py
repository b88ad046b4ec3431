"""A network namespace of a test's own (network_namespaces(7)), with loopback and one interface without an address."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
INTERFACE = "lan0"
_CLONE_NEWNET = 0x40000000
_PREPARE = f"ip link set lo up; ip link add {INTERFACE} type veth peer name far0; ip link set far0 up; echo; read end"


class Namespace:
    """Belongs to a process that waits; ends with it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def inside(self, act: Callable[[], T]) -> T:
        """Call `act` in it: sockets that it makes, and processes that it starts, belong to the namespace."""

        def enter() -> T:
            with Path(f"/proc/{self.pid}/ns/net").open("rb") as there:
                if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            return act()

        with ThreadPoolExecutor(1) as only:  # setns(2) moves the calling thread alone
            return only.submit(enter).result()

    def ip(self, *argv: str) -> None:
        """ip(8)."""
        self.inside(lambda: subprocess.run(["ip", *argv], check=True))


@contextmanager
def network_namespace() -> Iterator[Namespace]:
    """Skips where there is none to be had."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace: sudo ./check")
    if shutil.which("ip") is None:
        pytest.skip("ip is missing: sudo apt install iproute2")
    argv = ["unshare", "--net", "sh", "-c", _PREPARE]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield Namespace(holder.pid)
        finally:
            holder.communicate("\n")
