"""The available kernels: the account's own kernelspecs and the default one, none from the server's environment.

Traits, set in the generated configuration under "KernelSpecManager": `environment`, `own_environment`,
`kernelspecs_dir`, `state_dir`, `places`. Environments: environment_kernels.py.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpec
from jupyter_client.kernelspec import KernelSpecManager as StockManager
from traitlets import List, Unicode

from jupyterd.environments.listing import Where
from jupyterd.launch import kernelspec
from jupyterd.launch.kernelspec import METADATA, PREFIX
from jupyterd.launch.user_environment import user_environment
from jupyterd.server.kernels.environment_kernels import MODULE, EnvironmentKernels

_JUDGED_FOR_S = 60.0
"""How long it is believed whether a kernelspec can start: somebody may install what it lacks."""


class KernelSpecManager(StockManager):
    """Lists the default kernel, "python3", also before its environment has been made, and one for each environment."""

    environment = Unicode(help="[kernels] environment: that of new notebooks; empty: the user's choice").tag(
        config=True
    )
    own_environment = Unicode(help="Paths.kernel_environment: made on first use").tag(config=True)
    kernelspecs_dir = Unicode(help="Jupyter data directory in which the default kernelspec is kept.").tag(config=True)
    state_dir = Unicode(help="Paths.state, with the choices of `jupyterd env`; empty: none are looked for").tag(
        config=True
    )
    places = List(Unicode(), help="Directories beside the home directory that are searched").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - traitlets passes what it likes
        """Write the default kernelspec if it is not there as it should be."""
        super().__init__(**kwargs)
        self._judged: dict[Path, tuple[str, float]] = {}
        self.ensure_native_kernel = False
        where = Where(Path.home(), Path(self.own_environment or self.environment), tuple(map(Path, self.places)))
        tell = getattr(self.parent, "damaged", self.log.warning)
        self._environments = EnvironmentKernels(Path(self.state_dir or os.devnull), where, self.environment, tell)
        self._write_default()

    def _write_default(self) -> None:
        path = self._environments.default
        if self.kernelspecs_dir and path != ".":
            made = self._environments.default_is_made
            shown = "Python 3 (ipykernel)" if made else self._environments.display_name(path)
            write_default(Path(self.kernelspecs_dir), Path(path), shown, made=made)

    def _kernel_dirs_default(self) -> list[str]:
        home = os.environ.get("XDG_DATA_HOME") or str(Path("~/.local/share").expanduser())
        own = [str(Path(self.kernelspecs_dir) / "kernels")] if self.kernelspecs_dir else []
        return [str(Path(home) / "jupyter/kernels"), *own, *kernelspec.SYSTEM_DIRS]

    def _user_kernel_dir_default(self) -> str:
        return str(self.kernel_dirs[0])

    @property
    def default_environment(self) -> str:
        """The directory of the environment of new notebooks."""
        return self._environments.default

    @property
    def _ours(self) -> str:
        """The directory of the default kernelspec."""
        return str(Path(self.kernelspecs_dir) / "kernels" / NATIVE_KERNEL_NAME)

    async def get_all_specs(self) -> dict[str, Any]:  # type: ignore[override]  # the handler awaits it, as a gateway's
        """Jupyter's hook for the list of a page: environments that were made meanwhile are in it."""
        await self.search()
        found: dict[str, Any] = super().get_all_specs()
        return found

    async def search(self) -> None:
        """Search for environments, unless that was done a moment ago."""
        if self.state_dir:
            await self._environments.search(user_environment(os.environ))

    def find_kernel_specs(self) -> dict[str, str]:
        """Names and directories. A "python3" of the account's own that cannot start gives way to ours."""
        self._write_default()
        found: dict[str, str] = super().find_kernel_specs()
        name = NATIVE_KERNEL_NAME
        if name in found and self.kernelspecs_dir and self._cannot_start(Path(found[name])):
            found[name] = self._ours
        made = {name: str(spec.resource_dir) for name, spec in self._of_environments(found).items()}
        if self.allowed_kernelspecs:
            made = {name: where for name, where in made.items() if name in self.allowed_kernelspecs}
        return {**made, **found}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Jupyter's hook: the user's own kernelspecs, else that of an environment. NoSuchKernel."""
        found: dict[str, str] = super().find_kernel_specs()
        made = self._of_environments(found).get(kernel_name.lower())
        if (
            made is None
            or kernel_name in found
            or (self.allowed_kernelspecs and kernel_name not in self.allowed_kernelspecs)
        ):
            made = super().get_kernel_spec(kernel_name)
        return made

    def _of_environments(self, found: Mapping[str, str]) -> dict[str, KernelSpec]:
        taken = [_program(Path(where)) for name, where in found.items() if where != self._ours]
        return self._environments.specs(taken, self._ours)

    def failed_start(self, directory: str, why: str) -> bool:
        """A kernel of the kernelspec in this directory has ended at its start. Whether ours is used instead from now
        on, for a minute.
        """
        if Path(directory).name != NATIVE_KERNEL_NAME or not self.kernelspecs_dir or directory == self._ours:
            return False
        self._judged[Path(directory)] = (why, time.monotonic() + _JUDGED_FOR_S)
        return True

    def _cannot_start(self, directory: Path) -> str:
        """Why a kernelspec cannot start, "" if it can; looked at again after a minute, and told when it changes."""
        said, until = self._judged.get(directory, ("", 0.0))
        if time.monotonic() < until:
            return said
        why = kernelspec.cannot_start(directory)
        if why and why != said:
            self.log.warning("%s; jupyterd's own is used in its place", why)
        self._judged[directory] = (why, time.monotonic() + _JUDGED_FOR_S)
        return why

    def _find_spec_directory(self, kernel_name: str) -> str | None:
        return {name.lower(): where for name, where in self.find_kernel_specs().items()}.get(kernel_name)


def write_default(kernelspecs_dir: Path, environment: Path, shown: str, *, made: bool) -> None:
    """`python3` in `kernelspecs_dir`/kernels, with ipykernel's logos; left alone when it is right already. `made`:
    jupyterd makes this environment on first use.
    """
    directory = kernelspecs_dir / "kernels" / NATIVE_KERNEL_NAME
    text = json.dumps(
        {
            "argv": [str(environment / "bin/python"), *MODULE, "-f", "{connection_file}"],
            "display_name": shown,
            "language": "python",
            "interrupt_mode": "signal",
            "metadata": {"debugger": True, METADATA: {"environment" if made else PREFIX: str(environment)}},
        },
        indent=1,
    )
    file = directory / "kernel.json"
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return
    directory.mkdir(parents=True, exist_ok=True)
    spec = importlib.util.find_spec("ipykernel")
    for where in spec.submodule_search_locations or () if spec else ():
        for logo in Path(where).glob("resources/logo-*"):
            shutil.copyfile(logo, directory / logo.name)
    beside = directory / f"kernel.json.{os.getpid()}.new"
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def _program(directory: Path) -> str:
    """The first word of a kernelspec's argv; "" if it cannot be read."""
    try:
        return str(json.loads((directory / "kernel.json").read_text(encoding="utf-8"))["argv"][0])
    except (OSError, ValueError, LookupError, TypeError):
        return ""
