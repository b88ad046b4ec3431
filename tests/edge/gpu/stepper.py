"""Runs in a process of its own: one Sampler whose time comes from standard input, a line a beat.

Arguments: the root directory, records, sessions. In: "SECONDS". Out: a JSON list [frame, again_at, fresh].
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from jupyterd.gpu.attribution import Attribution
from jupyterd.gpu.sampler import Sampler
from jupyterd.protocol import gpu_frames

root, records, sessions = sys.argv[1:]
sampler = Sampler(Attribution(Path(records), Path(sessions), Path("/home/ada"), root), 60.0, root)
for line in sys.stdin:
    frame = gpu_frames.encode(sampler.beat(float(line), 1e9 + float(line))).decode()
    sys.stdout.write(json.dumps([frame, sampler.again_at, sampler.fresh]) + "\n")
    sys.stdout.flush()
