"""An extension that counts the server's children by psutil counts the kernels, which are nobody's children."""

from __future__ import annotations

import os
import subprocess

import psutil
import pytest

from jupyterd.server.kernels import as_children

ALONE = "sh -c 'sleep 600 & echo $$ $!; exec sleep 600' & exit 0"


def test_kernels_and_what_they_have_started_count_as_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "children", psutil.Process.children)  # and back after the test
    with subprocess.Popen(["sh", "-c", ALONE], stdout=subprocess.PIPE, text=True, start_new_session=True) as started:
        assert started.stdout is not None
        kernel, below = map(int, started.stdout.readline().split())
    try:
        assert kernel not in [each.pid for each in psutil.Process().children(recursive=True)]
        as_children.show(lambda: [kernel, 1 << 22])
        found = [each.pid for each in psutil.Process().children(recursive=True)]
        assert {kernel, below} <= set(found) and len(found) == len(set(found))
        assert below not in [each.pid for each in psutil.Process().children()]
        assert [each.pid for each in psutil.Process(kernel).children()] == [below]
    finally:
        for pid in (kernel, below):
            os.kill(pid, 9)
