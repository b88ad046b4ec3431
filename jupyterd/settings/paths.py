"""Where everything lies, once: the state directory, the runtime directory, and each file in them by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

Mode = Literal["service", "user", "foreground"]


@attrs.frozen
class Paths:
    """`state` lives for ever, `runtime` until the next boot; both belong to the account, mode 0700."""

    mode: Mode
    state: Path
    runtime: Path

    @property
    def lock(self) -> Path:
        """Held (flock) by the one supervisor of this state directory."""
        return self.state / "lock"

    @property
    def jupyter_config(self) -> Path:
        """JUPYTER_CONFIG_DIR of the server: what jupyterd generates, and nothing else."""
        return self.state / "jupyter"

    @property
    def live(self) -> Path:
        """0600 JSON: what a running server reads again on Reload (certificate, password, token)."""
        return self.state / "live.json"

    @property
    def login(self) -> Path:
        """0600 JSON: the password that the browser set and the hash of the one-time token."""
        return self.state / "login.json"

    @property
    def self_signed(self) -> Path:
        """0600 combined PEM of the certificate that jupyterd made by itself."""
        return self.state / "tls" / "self-signed.pem"

    @property
    def kernel_environment(self) -> Path:
        """The default Python environment of notebooks."""
        return self.state / "python"

    @property
    def kernelspecs(self) -> Path:
        """JUPYTER data directory that holds the default kernelspec, "python3"."""
        return self.state / "share"

    @property
    def kernel_records(self) -> Path:
        """One 0600 JSON for each kernel that runs (jupyterd.units)."""
        return self.state / "kernels"

    @property
    def sessions(self) -> Path:
        """SessionManager.database_filepath."""
        return self.state / "sessions.db"

    @property
    def kernel_sockets(self) -> Path:
        """0700; connection files and ipc sockets. Short: a socket path has 107 bytes."""
        return self.runtime / "k"

    @property
    def jupyter_runtime(self) -> Path:
        """JUPYTER_RUNTIME_DIR of the server."""
        return self.runtime / "jupyter"

    @property
    def status(self) -> Path:
        """The status snapshot (jupyterd.wire.snapshot)."""
        return self.runtime / "status.json"
