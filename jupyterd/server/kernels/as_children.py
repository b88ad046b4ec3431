"""Kernels are no children of the server. What counts the server's children by psutil, to show the memory and processor
time of notebooks (jupyter-resource-usage), gets the kernels and what they have started as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from jupyterd.linux import proc


def show(kernels: Callable[[], Iterable[int]]) -> None:
    """Let psutil name the processes with the pids `kernels()`, and all below them, among this process's children. Does
    nothing where no extension has imported psutil.
    """
    psutil: Any = sys.modules.get("psutil")
    if psutil is None:
        return
    own = psutil.Process.children

    def children(process: Any, recursive: bool = False) -> list[Any]:  # noqa: ANN401, FBT001, FBT002 - psutil's own
        found: list[Any] = own(process, recursive)
        if process.pid == os.getpid():
            for pid in _families(kernels()) if recursive else kernels():
                try:
                    found.append(psutil.Process(pid))
                except psutil.Error:  # it has ended
                    continue
        return found

    psutil.Process.children = children


def _families(heads: Iterable[int]) -> list[int]:
    """These processes and all that descend from them."""
    below: dict[int, list[int]] = {}
    for pid in proc.pids():
        stat = proc.stat(pid)
        if stat is not None:
            below.setdefault(stat.parent, []).append(pid)
    found = list(heads)
    for pid in found:
        found += [each for each in below.get(pid, ()) if each not in found]
    return found
