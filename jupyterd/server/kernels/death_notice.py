"""Tells why a kernel has ended: the journal, `jupyterd status`, and every notebook that it was at work for, also one
whose tab comes back later.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from jupyterd.launch import recent_deaths
from jupyterd.launch.registry import Entry
from jupyterd.server.channels.websocket import KernelWebsocket

_AGAIN = "; it is started again, without its variables"
_MISSED = "the end of this cell was missed, and output may be missing too: for a moment nobody listened"


async def tell(kernel: Any, record: Entry, cause: str, *, again: bool) -> None:  # noqa: ANN401 - a Kernel: it imports us
    """Before it is started `again`: then the tabs still know which cell it was at."""
    kernel.reason = cause
    what = "died" if again else "ended"
    kernel.log.warning("Kernel %s (%s) %s: %s", record.id, record.name, what, cause)
    with contextlib.suppress(OSError):  # a full disk: the journal has it
        await asyncio.to_thread(recent_deaths.note, Path(kernel.records_dir), record, cause)
    await _over(kernel, f"the kernel {what} here: {cause}{_AGAIN if again else ''}")


async def idle(kernel: Any, date: str) -> None:  # noqa: ANN401 - as above
    """An adopted kernel was idle at that date: a cell that seems to run since before has ended unheard."""
    await _over(kernel, _MISSED, date)


async def _over(kernel: Any, why: str, before: str = "") -> None:  # noqa: ANN401 - as above
    recorder = getattr(kernel.parent, "recorder", None)
    if recorder is not None and (last := await recorder.end_cells(kernel.kernel_id, why, before)):
        await KernelWebsocket.show_record(kernel.kernel_id, last)
