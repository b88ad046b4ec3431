"""The sampler's arguments and environment from the settings, and the silence that it may keep."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from jupyterd import __version__
from jupyterd.gpu.arguments import arguments, environment, silence_s
from jupyterd.gpu.driver import LIBRARY
from jupyterd.protocol.sampler_lock import SamplerArguments, SamplerPaths
from jupyterd.settings.paths import Paths
from jupyterd.settings.schema import GpuSettings, Settings

PATHS = Paths("foreground", Path("/state"), Path("/state/run"))
PLACES = SamplerPaths(Path("/state/gpu.lock"), Path("/run/gpu.sock"))


def settings(**gpu: object) -> Settings:
    return attrs.evolve(Settings(), gpu=GpuSettings(**gpu))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / LIBRARY).write_text("", "ascii")
    return {"LD_LIBRARY_PATH": str(tmp_path), "PATH": "/usr/bin", "HOME": "/home/ada", "JUPYTER_TOKEN": "secret"}


def test_the_sampler_gets_what_it_needs_and_no_more(environ: dict[str, str]) -> None:
    assert arguments(settings(sample_every_s=2.5), PATHS, environ, PLACES) == SamplerArguments(
        2.5, 60.0, Path("/state/kernels"), Path("/state/sessions.db"), Path(Settings().server.root_dir),
        PLACES, __version__, Path("/state/gpu.db"),
    )  # fmt: skip
    assert dict(environment(environ)) == {"LD_LIBRARY_PATH": environ["LD_LIBRARY_PATH"], "PATH": "/usr/bin"}


def test_switched_off_is_off(environ: dict[str, str]) -> None:
    assert arguments(settings(enabled=False), PATHS, environ, PLACES) is None


@pytest.mark.parametrize(("every_s", "silence"), [(1.0, 25.0), (10.0, 25.0), (60.0, 75.0), (3600.0, 3615.0)])
def test_a_slow_sampler_may_be_silent_for_longer(every_s: float, silence: float) -> None:
    assert silence_s(settings(sample_every_s=every_s)) == silence
