"""What the sub-verbs of `jupyterd env` work on."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from jupyterd.environments import choices, listing
from jupyterd.environments.choices import Choices
from jupyterd.environments.listing import Listing
from jupyterd.linux.accounts import account
from jupyterd.settings import load, paths
from jupyterd.settings.paths import Paths
from jupyterd.settings.problems import DEFAULT, Origin
from jupyterd.settings.schema import Settings


@attrs.frozen
class EnvContext:
    """The account's places, settings and choices. `named` is what [kernels] environment says, "" if nothing, and
    `origin` where.
    """

    paths: Paths
    settings: Settings
    home: Path
    chosen: Choices
    named: str
    origin: Origin

    @property
    def default(self) -> str:
        """The directory of the environment of new notebooks."""
        return self.named or self.chosen.default or str(self.paths.kernel_environment)

    def listing(self) -> Listing:
        """Searches, for some seconds at most."""
        own = self.paths.kernel_environment
        chosen = self.chosen.choosing(self.named) if self.named else self.chosen
        where = listing.Where(self.home, own, (Path(self.settings.server.root_dir),))
        return listing.make(where, os.environ, chosen)


def find() -> EnvContext:
    """Raises Invalid, OSError."""
    where = paths.discover(os.environ, os.getuid())
    who = account(os.geteuid(), os.environ, service=where.mode == "service")
    loaded = load.load(load.sources(where.mode, None, os.environ, {}, who))
    name = "kernels.environment"
    return EnvContext(
        where, loaded.settings, Path(who.home), choices.read(where.state), loaded.settings.kernels.environment,
        loaded.origins.get(name, DEFAULT),
    )  # fmt: skip
