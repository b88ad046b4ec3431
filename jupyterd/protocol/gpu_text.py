"""How a GPU and its holders are called in sentences: the same in the journal, in health items and in the verbs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from jupyterd.protocol.gpu_frames import Gpu, GpuProcess
from jupyterd.protocol.value import value
from jupyterd.text import share, size

_Number = TypeVar("_Number", int, float)
_KERNEL_SHOWN = 8
_NAMES_MOST = 4


@value
class Holder:
    """One notebook, one kernel without a notebook, or the same program of one other account."""

    label: str
    """For people: "train.ipynb", "kernel 1a2b3c4d", "Xorg of root"."""
    kernel: str | None
    notebook: str | None
    user: str | None
    memory_bytes: int | None
    """None: the driver does not tell it of any of its processes."""
    utilisation: float | None
    pids: tuple[int, ...]


def holders(processes: Sequence[GpuProcess] | None) -> tuple[Holder, ...]:
    """By memory, the most first. Two notebooks of one name are told apart by their directories."""
    groups: dict[tuple[str | None, ...], list[GpuProcess]] = {}
    for each in processes or ():
        key = (each.kernel,) if each.kernel is not None else (None, each.user, each.command)
        groups.setdefault(key, []).append(each)
    names = Counter(_name(each) for each in {members[0].notebook for members in groups.values()} if each is not None)
    found = (
        Holder(
            _label(members[0], names), members[0].kernel, members[0].notebook, members[0].user,
            _sum([each.memory_bytes for each in members]), _sum([each.utilisation for each in members]),
            tuple(each.pid for each in members),
        )
        for members in groups.values()
    )  # fmt: skip
    return tuple(sorted(found, key=lambda each: (-(each.memory_bytes or 0), each.label)))


def named(found: Sequence[Holder]) -> str:
    """As "train.ipynb 16.9 GiB, eval.ipynb 1.2 GiB", or "" for nobody."""
    parts = [each.label if each.memory_bytes is None else f"{each.label} {size(each.memory_bytes)}" for each in found]
    more = len(parts) - _NAMES_MOST
    return ", ".join(parts if more <= 0 else [*parts[:_NAMES_MOST], f"{more} more"])


def _label(one: GpuProcess, names: Counter[str]) -> str:
    if one.notebook is not None:
        name = _name(one.notebook)
        return name if names[name] == 1 else "/".join(one.notebook.rsplit("/", 2)[-2:])
    if one.kernel is not None:
        return f"kernel {one.kernel[:_KERNEL_SHOWN]}"
    command, user = one.command or f"process {one.pid}", one.user
    return command if user is None else f"{command} of {user}"


def _name(notebook: str) -> str:
    return notebook.rsplit("/", 1)[-1]


def _sum(values: Sequence[_Number | None]) -> _Number | None:
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None


def line(gpu: Gpu, doing: str | None = None) -> str:
    """What a person reads: "gpu0 RTX 4090: 87 % (peak 100), 18.2 of 24 GiB, 71 °C, 310 W, train.ipynb 16.9 GiB".

    `doing` is said instead of the utilisation: "idle for 15 min".
    """
    use = _utilisation(gpu) if doing is None else doing
    held = named(holders(gpu.processes))
    parts = [part for part in (use, _memory(gpu), _temperature(gpu), _power(gpu), held) if part]
    if gpu.trouble:
        parts.insert(0, gpu.trouble)
    if not parts:
        parts = ["asleep" if gpu.asleep else "no figures"]
    return f"{title(gpu)}: {', '.join(parts)}"


def title(gpu: Gpu) -> str:
    """How a GPU is called in sentences: "gpu0 RTX 4090"; the maker's name and the brand for games say nothing."""
    name = gpu.name.removeprefix("NVIDIA ").removeprefix("GeForce ").strip()
    return f"gpu{gpu.index} {name}" if name else f"gpu{gpu.index}"


def _utilisation(gpu: Gpu) -> str:
    if gpu.utilisation_mean is None:
        return ""
    peak = gpu.utilisation_max
    mean = f"{gpu.utilisation_mean:.0f} %"
    return mean if peak is None else f"{mean} (peak {peak:.0f})"


def _memory(gpu: Gpu) -> str:
    if gpu.memory_used_bytes is None:
        return ""
    return share(gpu.memory_used_bytes, gpu.memory_total_bytes)


def _temperature(gpu: Gpu) -> str:
    return "" if gpu.temperature_c is None else f"{gpu.temperature_c} °C"


def _power(gpu: Gpu) -> str:
    return "" if gpu.power_w is None else f"{gpu.power_w:.0f} W"
