"""Says why a kernel ended: in the journal, in `jupyterd status`, and under each cell that it was running, also in a tab
that comes back later.
"""

from __future__ import annotations

import asyncio
import contextlib
from logging import Logger
from pathlib import Path
from typing import Any, Protocol

from jupyterd.launch import deaths
from jupyterd.launch.registry import Entry
from jupyterd.server.channels.recorder_client import RecorderClient
from jupyterd.server.channels.websocket import KernelWebsocket

_RESTARTED = "; it is restarted, without its variables"
_MISSED = "the end of this cell was missed, and output may be missing too: for a moment nothing was recording"


class DyingKernel(Protocol):
    """The part of kernel.Kernel that is used here; that module imports this one."""

    kernel_id: str | None
    records_dir: str
    log: Logger
    reason: str
    """jupyter_server's: shown by /api/kernels."""
    parent: Any
    """The manager of all kernels; None in tests of one kernel."""


async def announce(kernel: DyingKernel, record: Entry, cause: str, *, restarted: bool) -> None:
    """The kernel's process has ended. Call it before the kernel is `restarted`: until then the tabs know which cell it
    was running.
    """
    kernel.reason = cause
    what = "died" if restarted else "ended"
    kernel.log.warning("Kernel %s (%s) %s: %s", record.id, record.name, what, cause)
    with contextlib.suppress(OSError):  # a full disk: the journal has it
        await asyncio.to_thread(deaths.note, Path(kernel.records_dir), record, cause)
    await _end_cells(kernel, f"the kernel {what} here: {cause}{_RESTARTED if restarted else ''}")


async def end_missed_cells(kernel: DyingKernel, date: str) -> None:
    """An adopted kernel was idle at `date` (as of spool.date): a cell that began earlier and seems to run has ended
    while neither server nor recorder listened.
    """
    await _end_cells(kernel, _MISSED, date)


async def _end_cells(kernel: DyingKernel, why: str, before: str = "") -> None:
    recorder: RecorderClient | None = getattr(kernel.parent, "recorder", None)
    kernel_id = str(kernel.kernel_id)
    if recorder is not None and (last := await recorder.end_cells(kernel_id, why, before)):
        await KernelWebsocket.show_record(kernel_id, last)
