"""docs/gpu.md names every field and every code that there is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from jupyterd.core import gpu_health, gpu_log, health
from jupyterd.protocol.gpu_frames import THROTTLE

PAGE = (Path(__file__).parents[3] / "docs" / "gpu.md").read_text("utf-8")


def test_every_field_is_explained() -> None:
    fields = set(re.findall(r'"(GPU_[A-Z0-9_]+)"', inspect.getsource(gpu_log.fields)))
    assert len(fields) > 10
    assert {name for name in fields if f"`{name}`" not in PAGE} == set()
    assert {reason for reason in THROTTLE if reason not in PAGE} == set()


def test_every_code_is_explained() -> None:
    kinds = {each.code for each in vars(health).values() if isinstance(each, health.HealthKind)}
    own = set(re.findall(r'code="(gpu-[a-z-]+)"', inspect.getsource(gpu_health)))
    codes = {code for code in kinds | own if code.startswith("gpu")} - {"gpu-error"}  # always has a code of its own
    assert {code for code in codes if f"`{code}`" not in PAGE} == set()
