"""Parent and child: how a child of the supervisor makes sure that it does not outlive it.

Called first of all by every program that the supervisor starts.
"""

from __future__ import annotations

import os
import signal

PARENT = "JUPYTERD_PARENT_PID"
"""Environment variable: the supervisor's pid."""
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the supervisor ends, however it ends (prctl(2), PR_SET_PDEATHSIG).

    Started by hand, without the variable, it does nothing. The variable is removed: kernels must not see it.
    """
    parent = os.environ.pop(PARENT, None)
    if parent is None:
        return
    import ctypes  # noqa: PLC0415 - the supervisor imports this module for its constant and must stay small

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != int(parent):  # it ended before the call
        os.kill(os.getpid(), signal.SIGKILL)
