"""A new kernel is given the GPU with the most free memory, over a fake driver with four GPUs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from support import fake_nvml
from support.fake_nvml.serving import WithGpu, served_with_gpu
from support.waiting import eventually

GIB = 1 << 30


def driver_says(served: WithGpu, *used_gib: int) -> None:
    figures = [fake_nvml.gpu(at, memory_used=used * GIB) for at, used in enumerate(used_gib)]
    lines = {name: value for each in figures for name, value in each.items()}
    fake_nvml.write(served.home / "driver", {"count": len(used_gib), **lines})
    free = [24564 * 1024**2 - used * GIB for used in used_gib]
    eventually(lambda: [_free(each) for each in served.status()["gpus"]] == free, "the sampler has seen it")


def _free(gpu: dict[str, int]) -> int:
    return (gpu["memory_total_bytes"] or 0) - (gpu["memory_used_bytes"] or 0)


def seen(served: WithGpu, kernel: str) -> str | None:
    """Its CUDA_VISIBLE_DEVICES."""
    words = Path(f"/proc/{served.pid(kernel)}/environ").read_text().split("\0")
    return next((word.partition("=")[2] for word in words if word.startswith("CUDA_VISIBLE_DEVICES=")), None)


def uuid(number: int) -> str:
    return str(fake_nvml.gpu(number)[f"gpu{number}.uuid"])


def write_kernelspec(served: WithGpu, name: str, *, gpu: str = "", **env: str) -> None:
    file = served.home / f".local/share/jupyter/kernels/{name}/kernel.json"
    file.parent.mkdir(parents=True)
    argv = [f"{os.path.realpath(sys.prefix)}/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    metadata = {"jupyterd": {"gpu": gpu}} if gpu else {}
    file.write_text(json.dumps({"argv": argv, "display_name": name, "env": env, "metadata": metadata}))


def test_a_new_kernel_sees_the_freest_gpu() -> None:
    with served_with_gpu("--kernels-gpu-choose", "freest", gpus=4) as served:
        eventually(lambda: served.status().get("state") == "serving", "it serves")
        write_kernelspec(served, "chosen", CUDA_VISIBLE_DEVICES="7")
        write_kernelspec(served, "off", gpu="none")
        write_kernelspec(served, "every", gpu="all")
        driver_says(served, 20, 20, 1, 10)
        first = served.notebook("a.ipynb")
        assert seen(served, first) == uuid(2)
        driver_says(served, 20, 1, 1, 1)
        assert {seen(served, served.notebook(name)) for name in ("b.ipynb", "c.ipynb")} == {uuid(1), uuid(3)}
        driver_says(served, 1, 20, 20, 20)
        served.ask("POST", f"/api/kernels/{first}/restart")
        assert seen(served, first) == uuid(0)
        kinds = {name: served.ask("POST", "/api/kernels", {"name": name})["id"] for name in ("chosen", "off", "every")}
        assert {name: seen(served, kernel) for name, kernel in kinds.items()} == {
            "chosen": "7", "off": "-1", "every": None,
        }  # fmt: skip
