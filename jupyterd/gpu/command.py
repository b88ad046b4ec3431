"""What the supervisor starts as the sampler, and how long it may be silent. Neighbour: present.py."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from jupyterd.gpu.asked import Asked, words
from jupyterd.gpu.present import driver_present
from jupyterd.settings.paths import Paths
from jupyterd.settings.schema import Settings
from jupyterd.wire.plan import Command
from jupyterd.wire.policy import Policy

_SLACK_S = 15.0
"""Start-up and one slow query of a busy driver."""
_PASSED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
"""All that the sampler needs. LD_LIBRARY_PATH: some systems have their driver's library nowhere else."""


def command(settings: Settings, paths: Paths, environ: Mapping[str, str]) -> Command | None:
    """The sampler's command; None where GPU lines are switched off or there is no driver."""
    if not settings.gpu.enabled or not driver_present("/", environ):
        return None
    asked = Asked(
        every_s=settings.gpu.sample_every_s,
        details_every_s=max(settings.gpu.details_every_s, settings.gpu.sample_every_s),
        records=paths.kernel_records,
        sessions=paths.sessions,
        notebooks=Path(settings.server.root_dir),
    )
    argv = (sys.executable, "-I", "-m", "jupyterd.gpu", *words(asked))
    env = tuple((name, environ[name]) for name in _PASSED if name in environ)
    return Command(argv, env, str(paths.runtime))


def silence_s(settings: Settings) -> float:
    """For Policy.gpu_silence_s: a sampler that asks once an hour is not hung after 45 s."""
    return max(Policy().gpu_silence_s, 3 * settings.gpu.sample_every_s + _SLACK_S)
