"""The sampler's command, and how long it may be silent."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from jupyterd import __version__
from jupyterd.gpu.arguments import SamplerArguments, words
from jupyterd.gpu.driver import driver_present
from jupyterd.protocol.plan import Command
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.sampler_lock import SamplerPaths
from jupyterd.settings.paths import Paths
from jupyterd.settings.schema import Settings

_SLACK_S = 15.0
"""One slow round of questions to a busy driver; what takes longer is called a hang."""
_PASSED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
"""All that the sampler needs. LD_LIBRARY_PATH: some systems have their driver's library nowhere else."""


def command(settings: Settings, paths: Paths, environ: Mapping[str, str], places: SamplerPaths) -> Command | None:
    """The sampler's command; None where GPU lines are switched off or there is no driver."""
    if not settings.gpu.enabled or not driver_present("/", environ):
        return None
    asked = SamplerArguments(
        every_s=settings.gpu.sample_every_s,
        details_every_s=max(settings.gpu.details_every_s, settings.gpu.sample_every_s),
        records=paths.kernel_records,
        sessions=paths.sessions,
        notebooks=Path(settings.server.root_dir),
        places=places,
        version=__version__,
        history=paths.gpu_history if settings.gpu.history_every_s else None,
        history_every_s=settings.gpu.history_every_s or 60,
        loads=settings.gpu_cull.enabled,
    )
    argv = (sys.executable, "-I", "-m", "jupyterd.gpu", *words(asked))
    env = tuple((name, environ[name]) for name in _PASSED if name in environ)
    return Command(argv, env, str(paths.runtime))


def silence_s(settings: Settings) -> float:
    """For Policy.gpu_silence_s: a sampler that asks once an hour is not hung after 25 s."""
    return max(Policy().gpu_silence_s, settings.gpu.sample_every_s + _SLACK_S)
