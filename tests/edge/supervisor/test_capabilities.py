"""What a process may do and the programs that it starts may not: with the kernel's own sets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = """
import json, subprocess, sys
sys.path.insert(0, sys.argv[1])
from jupyterd.linux import capabilities
def sets(status):
    names = ("CapInh", "CapPrm", "CapEff", "CapAmb")
    return [int(line.split()[1], 16) for line in status.splitlines() if line[:6] in names]
def child():
    return sets(subprocess.run(["/bin/cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout)
before = child()
capabilities.withhold()
print(json.dumps([before, child(), sets(open("/proc/self/status").read())]))
"""
BIND = 1 << 10
"""CAP_NET_BIND_SERVICE, <linux/capability.h>."""


def sets(*options: str) -> list[list[int]]:
    """Inheritable, permitted, effective, ambient: of a child before, of one after, and of the process itself."""
    argv = ["setpriv", *options, "/usr/bin/python3", "-I", "-c", SCRIPT, str(ROOT)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    found: list[list[int]] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can give a capability")
def test_what_an_account_was_given_stays_with_the_process_that_withholds_it() -> None:
    one = "+net_bind_service"
    who = ("--reuid=65534", "--regid=65534", "--clear-groups")
    given = (f"--inh-caps={one}", f"--ambient-caps={one}")
    assert sets(*who, *given) == [[BIND, BIND, BIND, BIND], [BIND, 0, 0, 0], [BIND, BIND, BIND, 0]]


def test_who_has_nothing_to_hand_on_needs_no_call() -> None:
    script = SCRIPT + "print('ctypes' in sys.modules)"
    argv = [sys.executable, "-I", "-S", "-c", script, str(ROOT)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split()[-1] == "False"
