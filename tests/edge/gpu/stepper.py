"""Runs in a process of its own: one Sampler whose time comes from standard input, a line a beat.

Arguments: the root directory. In: "SECONDS". Out: a JSON list [frame, again_at, fresh].
"""

from __future__ import annotations

import json
import sys

from jupyterd.gpu.sampler import Sampler
from jupyterd.wire import frames

sampler = Sampler(sys.argv[1])
for line in sys.stdin:
    frame = frames.encode(sampler.beat(float(line))).decode()
    sys.stdout.write(json.dumps([frame, sampler.again_at, sampler.fresh]) + "\n")
    sys.stdout.flush()
