"""Which GPU is chosen for a new kernel."""

from __future__ import annotations

import pytest

from jupyterd.protocol.gpu_frames import Frame, Gpu, Mig
from jupyterd.server.kernels.gpu_choice import freest

GIB = 1 << 30


def gpu(name: str, free_gib: float | None, trouble: str | None = None, mig: tuple[Mig, ...] = ()) -> Gpu:
    used = None if free_gib is None else round((24 - free_gib) * GIB)
    return Gpu(0, name, "GPU", 0.0, 0.0, used, 24 * GIB, 40, 30.0, trouble, mig=mig)


def part(name: str, free_gib: float) -> Mig:
    return Mig(0, name, "1g.10gb", round((10 - free_gib) * GIB), 10 * GIB)


@pytest.mark.parametrize(
    ("gpus", "given", "chosen"),
    [
        ([gpu("a", 2), gpu("b", 20), gpu("c", 10)], [], "b"),
        ([gpu("a", 2), gpu("b", 20), gpu("c", 10)], ["b", "b", "b"], "b"),
        ([gpu("a", 24), gpu("b", 24), gpu("c", 23.5)], [], "a"),
        ([gpu("a", 24), gpu("b", 24), gpu("c", 23.5)], ["a", "b"], "c"),
        ([gpu("a", 24), gpu("b", 24), gpu("c", 22)], ["a", "b"], "a"),
        ([gpu("a", 24, "lost"), gpu("b", 1)], [], "b"),
        ([gpu("a", None), gpu("b", 1)], [], "b"),
        ([gpu("a", None)], [], None),
        ([], [], None),
        ([gpu("a", 24, mig=(part("m1", 3), part("m2", 9))), gpu("b", 5)], [], "m2"),
    ],
)
def test_the_freest_is_chosen_and_among_equals_the_one_with_the_fewest_kernels(
    gpus: list[Gpu], given: list[str], chosen: str | None
) -> None:
    assert freest(Frame(tuple(gpus), None, None), given) == chosen
