"""wire.frames: what the sampler says comes back as it was, and nothing else is taken for a frame."""

from __future__ import annotations

import json

import pytest

from jupyterd.protocol import gpu_frames
from jupyterd.protocol.gpu_frames import Frame, Gpu, GpuProcess, Mig, Xid

FULL = Gpu(
    0, "GPU-1", "NVIDIA H200", 80.0, 100.0, 2, 3, 71, 310.5, None,
    utilisation_p95=99.0, energy_j=3105.0, clock_sm_mhz=1980, throttle=("thermal",), ecc_uncorrected=0,
    remap_pending=False, remap_failed=False, recovery="none", xids=(Xid(31, 1.5),),
    processes=(
        GpuProcess(7, 1, 50.0, "ada", "k-1", "/home/ada/träin.ipynb", "python", 1),
        GpuProcess(8, None, None, None, None, None, None),
    ),
    mig=(Mig(0, "MIG-1", "1g.18gb", 1, 2, 1),),
)  # fmt: skip
NOTHING = Gpu(1, "", "", None, None, None, None, None, None, None)


@pytest.mark.parametrize(
    "frame",
    [
        Frame((), "no driver", "reboot"),
        Frame((FULL, NOTHING), None, None, 1.5e9, 10.0, "550.54", "the library on disk is 560.1", 77),
        Frame((NOTHING,), None, None),
    ],
)
def test_what_is_said_comes_back(frame: Frame) -> None:
    line = gpu_frames.encode(frame)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert gpu_frames.decode(line) == frame


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b'{"format": 1, "gpus": [], "trouble": null, "advice": null}\n',
        b'{"format": 2, "gpus": [], "trouble": null, "advice": null, "more": 1}\n',
        b'{"format": 2, "gpus": [{}], "trouble": null, "advice": null}\n',
        b'{"format": 2, "gpus": [null], "trouble": null, "advice": null}\n',
        b"\xff\xfe\n",
    ],
)
def test_what_is_no_frame_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a frame"):
        gpu_frames.decode(line)


def test_every_field_is_written_even_when_unknown() -> None:
    document = json.loads(gpu_frames.encode(Frame((NOTHING,), None, None)))
    assert set(document["gpus"][0]) == set(Gpu.__slots__)
    assert document["gpus"][0]["processes"] is None
