"""The sampler's arguments and environment, and how long it may be silent: for the planner, from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jupyterd import __version__
from jupyterd.gpu.driver import driver_present
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.sampler_lock import SamplerArguments, SamplerPaths
from jupyterd.settings.paths import Paths
from jupyterd.settings.schema import Settings

_SLACK_S = 15.0
"""One slow round of questions to a busy driver; the supervisor calls anything longer a hang."""
_PASSED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
"""LD_LIBRARY_PATH: some systems have their driver's library nowhere else."""


def arguments(
    settings: Settings, paths: Paths, environ: Mapping[str, str], places: SamplerPaths
) -> SamplerArguments | None:
    """None where GPU lines are switched off or no driver is present."""
    if not settings.gpu.enabled or not driver_present("/", environ):
        return None
    return SamplerArguments(
        every_s=settings.gpu.sample_every_s,
        details_every_s=max(settings.gpu.details_every_s, settings.gpu.sample_every_s),
        records=paths.kernel_records,
        sessions=paths.sessions,
        notebooks=Path(settings.server.root_dir),
        paths=places,
        version=__version__,
        history=paths.gpu_history if settings.gpu.history_every_s else None,
        history_every_s=settings.gpu.history_every_s or 60,
        cpu_time=settings.gpu_cull.enabled,
    )


def environment(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The variables of `environ` that the sampler gets, as (name, value); none of them is a secret."""
    return tuple((name, environ[name]) for name in _PASSED if name in environ)


def silence_s(settings: Settings) -> float:
    """Policy.gpu_silence_s: a sampler that asks the driver once an hour does not hang after 25 s of silence."""
    return max(Policy().gpu_silence_s, settings.gpu.sample_every_s + _SLACK_S)
