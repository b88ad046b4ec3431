"""Whether torch in the environment of new notebooks sees the GPU, asked of that environment's own Python."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from jupyterd.cli.doctor import programs
from jupyterd.cli.doctor.programs import NoAnswer
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.gpu import driver

SUBJECT = "torch"
_ASK = """
import json, torch
found = {"version": torch.__version__, "cuda": torch.version.cuda, "sees": torch.cuda.is_available(), "why": ""}
if not found["sees"] and found["cuda"]:
    try:
        torch.cuda.init()
    except Exception as error:
        found["why"] = str(error).strip().partition("\\n")[0]
found["gpus"] = torch.cuda.device_count() if found["sees"] else 0
print(json.dumps(found))
"""
WITHIN_S = 25.0
"""To import it from a cold disk takes some 10 s."""


def examine(environment: Path, root: str = "/") -> Iterator[Verdict]:
    """Only where there is a torch, and a GPU that it could see."""
    if not any(environment.glob("lib/python*/site-packages/torch/version.py")):
        yield Verdict(SUBJECT, "good", f"it is not installed in {environment}")
    elif not driver.pci_gpus(root) and not Path(root, "dev/nvidiactl").exists():
        yield Verdict(SUBJECT, "good", "installed; there is no NVIDIA GPU that it could use")
    else:
        try:
            said = programs.said(str(environment / "bin/python"), "-c", _ASK, within_s=WITHIN_S)
            found = json.loads(said.strip().rpartition("\n")[2])
        except (NoAnswer, ValueError) as error:
            text = f"torch in {environment} cannot be imported: {error}"
            yield Verdict(SUBJECT, "wrong", text, (f"{environment}/bin/python -c 'import torch'",))
            return
        yield of(found, environment)


def of(found: dict[str, object], environment: Path) -> Verdict:
    """From what it says of itself."""
    version, cuda = found["version"], found["cuda"]
    pip = f"{environment}/bin/python -m pip install --force-reinstall torch"
    if not cuda:
        text = f"torch {version} in {environment} is built without CUDA, so it does not use the GPU"
        return Verdict(SUBJECT, "wrong", text, (f"install one with CUDA (pytorch.org tells the index): {pip}",))
    if not found["sees"]:
        why = f": {found['why']}" if found.get("why") else ""
        masked = "CUDA_VISIBLE_DEVICES is set" if os.environ.get("CUDA_VISIBLE_DEVICES") == "" else "nvidia-smi"
        return Verdict(SUBJECT, "wrong", f"torch {version} (CUDA {cuda}) sees no GPU{why}", (masked,))
    return Verdict(SUBJECT, "good", f"torch {version} (CUDA {cuda}) sees {found['gpus']} GPU(s)")
