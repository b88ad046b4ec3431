"""The driver's error numbers (Xid), with what each means and what to do: data, after NVIDIA's "Xid Errors".

Pure; gpu_health.py turns them into health conditions.
"""

from __future__ import annotations

from collections.abc import Mapping

from jupyterd.protocol.value import value


@value
class Group:
    """Errors with the same cause and remedy. `shown_s`: how long one is shown after it last occurred."""

    advice: str
    shown_s: float
    severity: str = "warning"


_HOUR_S = 3600.0
PROGRAM = Group(
    "restart the kernel; if programs that used to work get it too: sudo nvidia-smi -q, and suspect the card", 600.0
)
FOLLOWS = Group("look at the error before it: journalctl -u jupyterd HEALTH_CODE=gpu-xid", 600.0)
DRIVER = Group("restart what uses the GPU; if it comes back: a newer driver, then sudo nvidia-smi --gpu-reset", _HOUR_S)
RESET = Group(
    "end what uses the GPU (jupyterd gpu), then sudo nvidia-smi --gpu-reset, or sudo reboot", _HOUR_S, "error"
)
REBOOT = Group(
    "sudo reboot; if it comes back, check power cables, slot and temperature of the card", 24 * _HOUR_S, "error"
)
MEMORY = Group("nvidia-smi -q -d ECC,ROW_REMAPPER; a reset puts the spare rows to use", _HOUR_S)
REPLACE = Group("save your work; nvidia-smi -q -d ECC,ROW_REMAPPER; the card may need to be replaced", _HOUR_S, "error")
LINK = Group("nvidia-smi nvlink --status; if it comes back, the bridge or the cable", _HOUR_S)
UNKNOWN = Group("sudo dmesg | grep -i xid, and look the number up: docs.nvidia.com/deploy/xid-errors", _HOUR_S)

XIDS: Mapping[int, tuple[str, Group]] = {
    1: ("the driver was sent a bad command stream", DRIVER),
    6: ("the driver was sent a bad command stream", DRIVER),
    8: ("the GPU stopped processing and was restarted", DRIVER),
    11: ("the driver was sent a bad command stream", DRIVER),
    13: ("a program made the GPU's processors fail (an index out of bounds, most often)", PROGRAM),
    16: ("the display engine hung", DRIVER),
    18: ("the GPU found a bad command stream", DRIVER),
    25: ("a command stream was misused", DRIVER),
    31: ("a program reached for GPU memory that is not its own", PROGRAM),
    32: ("the GPU found a bad command stream, perhaps by a faulty PCI connection", DRIVER),
    38: ("the driver's firmware failed", DRIVER),
    43: ("the GPU stopped a program's work after that program's error", PROGRAM),
    44: ("the GPU failed while it changed from one program to another", DRIVER),
    45: ("a program's work was cleared away, because it ended or because of an earlier error", FOLLOWS),
    48: ("GPU memory has an error that could not be corrected", REPLACE),
    54: ("the card's extra power is not connected", REBOOT),
    56: ("the display engine failed", DRIVER),
    57: ("the GPU's memory interface failed", REPLACE),
    58: ("the GPU's memory is unstable", REPLACE),
    61: ("the GPU's own controller stopped for a moment", RESET),
    62: ("the GPU's own controller halted", RESET),
    63: ("a bad row of GPU memory will be replaced", MEMORY),
    64: ("a bad row of GPU memory could not be replaced", REPLACE),
    68: ("the video decoder failed", PROGRAM),
    69: ("a program used the graphics engine wrongly", PROGRAM),
    74: ("the link between GPUs (NVLink) failed", LINK),
    79: ("the GPU has fallen off the bus", REBOOT),
    80: ("the GPU received damaged data", REBOOT),
    92: ("GPU memory has many corrected errors", MEMORY),
    94: ("GPU memory failed; only the program that used it is affected", MEMORY),
    95: ("GPU memory failed and any program may be affected", REPLACE),
    109: ("the GPU did not change from one program to another in time", DRIVER),
    110: ("the GPU's security engine failed", RESET),
    119: ("the GPU's system processor (GSP) does not answer", RESET),
    120: ("the GPU's system processor (GSP) failed", RESET),
    121: ("the link to the processor (C2C) had a corrected error", MEMORY),
    122: ("the card's own settings could not be read", RESET),
    123: ("the card's own power controller does not answer", RESET),
    140: ("GPU memory has an error that could not be recovered", RESET),
    143: ("the GPU could not be initialised", RESET),
    144: ("the link between GPUs (NVLink) failed", LINK),
    145: ("the link between GPUs (NVLink) failed", LINK),
    149: ("the link between GPUs (NVLink) failed", LINK),
    151: ("a key of the GPU's protected mode was used up", RESET),
    154: ("the driver asks for a recovery of the GPU", RESET),
    155: ("the link between GPUs (NVLink) was not as configured", LINK),
    156: ("a part of the GPU will be retired", MEMORY),
    157: ("a part of the GPU could not be retired", REPLACE),
    158: ("the GPU did not finish in time", RESET),
}


def meaning(code: int) -> tuple[str, Group]:
    """(what the error means, its group); a fixed text and UNKNOWN for a number that is not in the table."""
    return XIDS.get(code, ("an error of the driver that has no explanation here", UNKNOWN))
