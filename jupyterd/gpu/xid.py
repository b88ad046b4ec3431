"""Errors that the driver reports (Xid): from the kernel's log where this account may read it, else from NVML's events.

Neither waits: the kernel and the driver keep what came until the next beat, so no thread can hang in the driver.
"""

from __future__ import annotations

import ctypes
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pynvml

from jupyterd.gpu import nvml, nvml_errors
from jupyterd.gpu.device import Device
from jupyterd.gpu.nvml import NvmlError
from jupyterd.protocol.gpu_frames import Xid

_LINE = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F:]+)(?:\.[0-9a-fA-F])?\): (\d+)(?:, pid='?(\d+))?")
_RECORD_MOST_BYTES = 8192
_AT_ONCE_MAX = 64
_WAIT_MS = 1
_FIRST_REST_S = 60.0
_MOST_REST_S = 3600.0
Found = tuple[str, Xid]
"""(PCI address of the GPU as in /sys/bus/pci, such as "0000:01:00.0"; the error)."""


class KernelLog:
    """/dev/kmsg from now on (Documentation/ABI/testing/dev-kmsg): one record a read. It names the pid too."""

    def __init__(self, root: str = "/") -> None:
        try:
            self._fd: int | None = os.open(Path(root) / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)
            os.read(self._fd, _RECORD_MOST_BYTES)
        except BlockingIOError:
            return  # readable, and nothing has come yet
        except OSError:
            self._fd = None

    @property
    def readable(self) -> bool:
        """False for an ordinary account where kernel.dmesg_restrict is 1, as on Debian."""
        return self._fd is not None

    def take(self) -> list[Found]:
        """The Xids since the last call."""
        found: list[Found] = []
        while self._fd is not None:
            try:
                record = os.read(self._fd, _RECORD_MOST_BYTES)
            except BlockingIOError:
                break
            except BrokenPipeError:  # records were overwritten before they were read; the next read goes on
                continue
            except OSError:
                os.close(self._fd)
                self._fd = None
                break
            if not record:
                break
            found += parse(record.decode("utf-8", "replace"), time.time())
        return found


def parse(text: str, at: float) -> list[Found]:
    """Every "NVRM: Xid (PCI:0000:01:00): 31, pid=7, name=python, ..." in the text; `at` is Unix seconds."""
    found = []
    for match in _LINE.finditer(text):
        bus, code, pid = match.groups()
        domain, _, rest = bus.lower().partition(":")
        found.append((f"{domain[-4:]}:{rest}.0", Xid(int(code), at, int(pid) if pid and int(pid) else None)))
    return found


class Events:
    """NVML's event set for these devices; valid until NVML is closed. After an error it rests for
    a while: a lost GPU fails every call.
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        self._rest_s = 0.0
        self._not_before = 0.0
        self._devices = {_address(each.handle): each for each in devices}
        self._set: object | None = _quietly(pynvml.nvmlEventSetCreate)
        for each in devices if self._set is not None else ():
            _quietly(pynvml.nvmlDeviceRegisterEvents, each.handle, pynvml.nvmlEventTypeXidCriticalError, self._set)

    def take(self, now: float) -> list[tuple[Device, Xid]]:
        """The Xids since the last call; `now` is monotonic seconds."""
        found: list[tuple[Device, Xid]] = []
        if self._set is None or now < self._not_before:
            return found
        while len(found) < _AT_ONCE_MAX:
            try:
                event = nvml.ask(pynvml.nvmlEventSetWait_v2, self._set, _WAIT_MS)
            except NvmlError as refusal:
                if refusal.code == nvml_errors.TIMEOUT:
                    self._rest_s = 0.0
                else:
                    self._rest_s = min(max(_FIRST_REST_S, 2 * self._rest_s), _MOST_REST_S)
                    self._not_before = now + self._rest_s
                break
            device = self._devices.get(_address(event.device))
            if device is not None and event.eventType == pynvml.nvmlEventTypeXidCriticalError:
                found.append((device, Xid(int(event.eventData), time.time())))
        return found


def _quietly(question: Callable[..., object], *arguments: object) -> object | None:
    try:
        return nvml.ask(question, *arguments)
    except NvmlError:
        return None  # an old driver, a virtual GPU, one that is lost already: no events, and nothing else is amiss


def _address(handle: nvml.Handle) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value
