"""Every setting: type, default, bounds, unit, one-line doc, and what a change of it needs. The only home."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from jupyterd.protocol import spool
from jupyterd.protocol.policy import Policy

Change = Literal["live", "restart", "bind"]
"""What a changed value needs: nothing, a restart of the server, or new listening sockets (and a restart)."""

_POLICY = Policy()


def setting(  # noqa: PLR0913 - one keyword for each fact about a setting
    default: Any,  # noqa: ANN401 - the attribute's annotation is the type
    doc: str,
    *,
    change: Change = "restart",
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
    path: bool = False,
    example: Any = None,  # noqa: ANN401 - of the same type as the default
) -> Any:  # noqa: ANN401 - attrs.field's own type
    """One setting. `doc` is one line; `example` is shown, commented out, where the default says little.
    `path`: a file or directory; load.py makes it absolute and expands "~" for the account.
    """
    metadata = {
        "doc": doc, "change": change, "unit": unit, "least": least, "most": most,
        "choices": choices, "secret": secret, "path": path, "example": example,
    }  # fmt: skip
    return attrs.field(default=default, metadata=metadata)


@attrs.frozen
class ServerSettings:
    """Where it listens and what it shows."""

    ip: tuple[str, ...] = setting(
        ("localhost",),
        'Addresses to listen on: "localhost", "*" for every one, or literal IPv4 and IPv6 addresses.',
        change="bind", example=["192.168.1.7", "::1"],
    )  # fmt: skip
    port: int = setting(8888, "The one port; never another one.", change="bind", least=1, most=65535)
    base_url: str = setting("/", 'Prefix of every path, such as "/lab1/".')
    root_dir: str = setting("~", "Directory that the file browser shows.", path=True, example="/srv/notebooks")
    allow_root: bool = setting(False, "Serve although the account is root.")
    hidden_files: bool = setting(False, "Show and open files and directories that begin with a dot.")
    names: tuple[str, ...] = setting(
        (), "More host names under which browsers reach this server: probed, shown, and in the certificate.",
        example=["gpu.example.org"],
    )  # fmt: skip
    lab: bool = setting(True, "JupyterLab beside the notebook; without it the start is twice as fast.")
    language_server: bool = setting(False, "Language servers for JupyterLab, when one is installed.")
    connections_max: int = setting(
        1000, "Connections without a login; this machine's own and logged-in ones are counted apart.",
        least=50, most=20000,
    )  # fmt: skip
    jupyter_config_dir: str = setting(
        "", "A directory of your own Jupyter configuration, read by Jupyter after jupyterd's and not looked at here.",
        path=True, example="~/.jupyter",
    )  # fmt: skip
    allow_unsafe: tuple[str, ...] = setting(
        (), "What your own Jupyter configuration may switch off although it leaves the server open, by Jupyter's name "
        "for it: disable_check_xsrf, allow_origin, allow_unauthenticated_access, identity_provider_class.",
        example=["allow_origin"],
    )  # fmt: skip
    log_level: str = setting(
        "INFO", "How much Jupyter itself writes to the journal.",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
    )  # fmt: skip


@attrs.frozen
class LoginSettings:
    """Who gets in. With neither password nor token, a one-time token for the first login is made."""

    password_hash: str = setting(
        "", 'Hash of the password, as "argon2:..." or an old "sha1:..."; wins over one set in the browser.',
        change="live", secret=True,
    )  # fmt: skip
    token: str = setting("", "A lasting token for programs (Authorization: token ...).", change="live", secret=True)
    allow_password_change: bool = setting(
        True,
        "The first login with the one-time token may set a password in the browser.",
        change="live",
    )
    trusted_proxies: tuple[str, ...] = setting(
        (), "Addresses or networks of proxies of your own: the X-Forwarded-For and -Proto that they send are believed.",
        change="live", example=["127.0.0.1", "10.1.0.0/24"],
    )  # fmt: skip


@attrs.frozen
class TlsSettings:
    """The certificate. Unset: the one of `jupyterd cert install`, or else one that is made here."""

    enabled: bool = setting(True, "Serve over TLS. Without it only localhost is served.")
    certificate: str = setting(
        "", "PEM file: the certificate and its chain, or certificate, chain and key in one.", change="live",
        path=True, example="/etc/letsencrypt/live/gpu.example.org/fullchain.pem",
    )  # fmt: skip
    key: str = setting(
        "", "PEM file of the private key; not needed when `certificate` holds it.", change="live",
        path=True, example="/etc/letsencrypt/live/gpu.example.org/privkey.pem",
    )  # fmt: skip
    allow_plain_public: bool = setting(
        False,
        "Serve a public address without TLS (behind a proxy of your own that adds it).",
    )


@attrs.frozen
class KernelSettings:
    """Where notebooks run."""

    environment: str = setting(
        "", "The default Python environment of notebooks, made on first use; empty: in the state directory.",
        path=True, example="~/venvs/science",
    )  # fmt: skip
    grace_s: float = setting(
        _POLICY.kernels_grace_s, "How long kernels may take to end when the service is stopped.",
        change="live", unit="s", least=0, most=600,
    )  # fmt: skip
    memory_max: str = setting(
        "", "Memory that one kernel may use before it is ended, as in systemd's MemoryMax=; empty: no limit.",
        example="64G",
    )  # fmt: skip
    memory_high: str = setting(
        "", "Memory above which one kernel is slowed down, as in systemd's MemoryHigh=; empty: no limit.",
        example="56G",
    )  # fmt: skip
    cpu_weight: int = setting(
        100, "A kernel's share of a busy CPU, as in systemd's CPUWeight=; 100 is anybody's.", least=1, most=10000
    )
    tasks_max: int = setting(
        0, "Processes and threads that one kernel may have, as in systemd's TasksMax=; 0: the system's own limit.",
        least=0, most=4194304,
    )  # fmt: skip
    spool_max_bytes: int = setting(
        spool.MAX_BYTES, "Output of one kernel that is kept on disk for absent tabs; the middle is dropped beyond it.",
        unit="bytes", least=1 << 20, most=1 << 40,
    )  # fmt: skip
    cull_idle_timeout_s: int = setting(
        0, "End kernels in which nothing has run for so long, as Jupyter does; 0: never. See [gpu.cull] too.",
        unit="s", least=0, most=31536000,
    )  # fmt: skip
    cull_interval_s: int = setting(300, "How often it looks for them.", unit="s", least=1, most=86400)
    cull_connected: bool = setting(False, "Also those that are open in a browser.")
    cull_busy: bool = setting(False, "Also those in which a cell runs.")


@attrs.frozen
class GpuSettings:
    """The GPU lines in the journal, and their history."""

    enabled: bool = setting(True, "Log GPU utilisation where an NVIDIA driver is present.", change="live")
    log_every_s: float = setting(
        _POLICY.gpu_log_every_s, "One line for each GPU this often.", change="live", unit="s", least=1, most=86400
    )
    idle_log_every_s: float = setting(
        _POLICY.gpu_idle_log_every_s, "While a GPU does nothing, one line this often.",
        change="live", unit="s", least=1, most=86400,
    )  # fmt: skip
    sample_every_s: float = setting(
        10.0, "How often the driver is asked for utilisation, memory and power.",
        change="live", unit="s", least=1, most=3600,
    )  # fmt: skip
    details_every_s: float = setting(
        60.0, "How often it is asked for processes, temperature, clocks and errors.",
        change="live", unit="s", least=1, most=3600,
    )  # fmt: skip
    history_every_s: int = setting(
        60, "A row in the history this often (jupyterd gpu --since), kept for 30 days, then one an hour; 0: none.",
        change="live", unit="s", least=0, most=3600,
    )  # fmt: skip


@attrs.frozen
class GpuCullSettings:
    """Which kernels are ended to free a GPU. An open tab does not keep one; a GPU or CPU that works, or about which
    nothing is known, does.
    """

    enabled: bool = setting(
        _POLICY.cull, "End kernels that hold GPU memory and do nothing.", change="live",
    )  # fmt: skip
    dry_run: bool = setting(_POLICY.cull_dry_run, "Only say which would be ended.", change="live")
    memory_gib: float = setting(
        _POLICY.cull_memory_bytes / (1 << 30), "Those that hold more than so much memory of the GPUs.",
        change="live", unit="GiB", least=0, most=100000,
    )  # fmt: skip
    idle_s: float = setting(
        _POLICY.cull_idle_s, "and whose GPUs and CPUs have been idle for so long while no cell ran.",
        change="live", unit="s", least=1, most=31536000,
    )  # fmt: skip
    warning_s: float = setting(
        _POLICY.cull_warning_s, "They are warned about so long before: on the page, in the journal and the status.",
        change="live", unit="s", least=0, most=86400,
    )  # fmt: skip


@attrs.frozen
class SupervisionSettings:
    """When the supervisor acts; the defaults suit a machine that should simply stay up."""

    probe_every_s: float = setting(
        _POLICY.probe_every_s, "The first address is probed this often, the others each minute.",
        change="live", unit="s", least=0.5, most=3600,
    )  # fmt: skip
    hang_after_s: float = setting(
        _POLICY.hang_after_s, "A server that is mute on every address for so long is replaced.",
        change="live", unit="s", least=1, most=3600,
    )  # fmt: skip
    spare: bool = setting(
        _POLICY.spare,
        "Keep a second server ready, which takes over in a tenth of a second (and needs some 60 MB of memory).",
        change="live",
    )
    start_timeout_s: float = setting(
        _POLICY.start_timeout_s, "How long the server may take to start.", change="live", unit="s", least=5, most=3600
    )
    stop_timeout_s: float = setting(
        _POLICY.stop_timeout_s, "From SIGTERM to SIGKILL for the server.", change="live", unit="s", least=1, most=600
    )


@attrs.frozen
class Settings:
    """All of them, by section; "gpu_cull" is [gpu.cull]. Paths that are not empty are absolute: load.py expands "~"."""

    server: ServerSettings = attrs.field(factory=ServerSettings)
    login: LoginSettings = attrs.field(factory=LoginSettings)
    tls: TlsSettings = attrs.field(factory=TlsSettings)
    kernels: KernelSettings = attrs.field(factory=KernelSettings)
    gpu: GpuSettings = attrs.field(factory=GpuSettings)
    gpu_cull: GpuCullSettings = attrs.field(factory=GpuCullSettings)
    supervision: SupervisionSettings = attrs.field(factory=SupervisionSettings)
