"""Every setting: type, default, bounds, unit, one-line doc, and what it takes to apply a change. Nothing else does."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from jupyterd.protocol import spool
from jupyterd.protocol.policy import Policy

Change = Literal["live", "restart", "bind"]
"""What it takes to apply a changed value: nothing, a restart of the server, or new listening sockets and a restart."""

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
    pairs: bool = False,
    example: Any = None,  # noqa: ANN401 - of the same type as the default
) -> Any:  # noqa: ANN401 - attrs.field's own type
    """One setting. `doc` is one line for the user; `example` is shown as a comment where the default says little.
    `path`: a file or directory, which load.py makes absolute, with "~" expanded for the account. `pairs`: a list of
    NAME=VALUE, which may be written as a section.
    """
    metadata = {
        "doc": doc, "change": change, "unit": unit, "least": least, "most": most,
        "choices": choices, "secret": secret, "path": path, "pairs": pairs, "example": example,
    }  # fmt: skip
    return attrs.field(default=default, metadata=metadata)


@attrs.frozen
class ServerSettings:
    """Where the server listens and what it shows."""

    ip: tuple[str, ...] = setting(
        ("localhost",),
        'Addresses to listen on: "localhost", "*" for all, or literal IPv4 and IPv6 addresses.',
        change="bind", example=["192.168.1.7", "::1"],
    )  # fmt: skip
    port: int = setting(
        8888,
        "Port to listen on. If it is taken, jupyterd waits for it and never uses another.",
        change="bind",
        least=1,
        most=65535,
    )
    base_url: str = setting("/", 'Path prefix of every URL, such as "/lab1/".')
    root_dir: str = setting("~", "Top directory of the file browser.", path=True, example="/srv/notebooks")
    allow_root: bool = setting(False, "Run the server even if the account is root.")
    hidden_files: bool = setting(False, "Show files and directories whose names begin with a dot.")
    names: tuple[str, ...] = setting(
        (), "Additional host names of this server. They are probed, shown, and put into the certificate.",
        example=["gpu.example.org"],
    )  # fmt: skip
    lab: bool = setting(
        True, "Offer JupyterLab beside the notebook interface. Without it the server starts twice as fast."
    )
    language_server: bool = setting(False, "Start language servers for JupyterLab, where any are installed.")
    connections_max: int = setting(
        1000, "Maximum number of connections that have not logged in. Connections from this machine and connections "
        "that have logged in have limits of the same size of their own.",
        least=50, most=20000,
    )  # fmt: skip
    jupyter_config_dir: str = setting(
        "", "Directory with your own Jupyter configuration. Jupyter reads it after the one that jupyterd generates.",
        path=True, example="~/.jupyter",
    )  # fmt: skip
    allow_unsafe: tuple[str, ...] = setting(
        (), "Unsafe options that your own Jupyter configuration may set, by Jupyter's names: disable_check_xsrf, "
        "allow_origin, allow_unauthenticated_access, identity_provider_class.",
        example=["allow_origin"],
    )  # fmt: skip
    log_level: str = setting(
        "INFO", "Least severe messages of Jupyter that go to the journal.",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
    )  # fmt: skip


@attrs.frozen
class LoginSettings:
    """Who may log in. If no password and no token is set, jupyterd makes a one-time token for the first login."""

    password_hash: str = setting(
        "", 'Hash of the password, "argon2:..." or the older "sha1:...". Overrides a password set in the browser.',
        change="live", secret=True,
    )  # fmt: skip
    token: str = setting(
        "", "Permanent token for programs (header: Authorization: token ...).", change="live", secret=True
    )
    allow_password_change: bool = setting(
        True,
        "Let the browser set a password at the first login with the one-time token.",
        change="live",
    )
    trusted_proxies: tuple[str, ...] = setting(
        (), "Addresses or networks of your reverse proxies, whose X-Forwarded-For and X-Forwarded-Proto are trusted.",
        change="live", example=["127.0.0.1", "10.1.0.0/24"],
    )  # fmt: skip


@attrs.frozen
class TlsSettings:
    """The certificate. If unset, the one that `jupyterd cert` installed or made, else a self-signed one."""

    enabled: bool = setting(True, "Serve HTTPS. Without it the server listens on localhost only.")
    certificate: str = setting(
        "", "PEM file with the certificate and its chain. It may hold the private key too.", change="live",
        path=True, example="/etc/letsencrypt/live/gpu.example.org/fullchain.pem",
    )  # fmt: skip
    key: str = setting(
        "", "PEM file with the private key. Not needed if `certificate` holds it.", change="live",
        path=True, example="/etc/letsencrypt/live/gpu.example.org/privkey.pem",
    )  # fmt: skip
    allow_plain_public: bool = setting(
        False,
        "Allow plain HTTP on public addresses, for a reverse proxy of yours that adds TLS.",
    )


@attrs.frozen
class KernelSettings:
    """The kernels that notebooks run in."""

    environment: str = setting(
        "", "Default Python environment of notebooks, created on first use. Empty: one in the state directory.",
        path=True, example="~/venvs/science",
    )  # fmt: skip
    login_shell: str = setting(
        "login", "Where kernels of the service get their environment from: your login shell as it starts without a "
        "terminal (~/.profile), the same with what it reads in one (~/.bashrc), or none. It runs at each start.",
        choices=("login", "interactive", "none"),
    )  # fmt: skip
    env: tuple[str, ...] = setting(
        (), 'Environment variables of every kernel, as NAME=VALUE or as a section [kernels.env] with NAME = "VALUE". '
        "${NAME} in a value stands for the variable's value at a login.",
        pairs=True, example=["HF_HOME=/data/hf", "LD_LIBRARY_PATH=/opt/lib:${LD_LIBRARY_PATH}"],
    )  # fmt: skip
    grace_s: float = setting(
        _POLICY.kernels_grace_s, "Time that kernels get to exit when the service is stopped.",
        change="live", unit="s", least=0, most=600,
    )  # fmt: skip
    memory_max: str = setting(
        "", "Memory limit of one kernel, above which it is killed (systemd's MemoryMax=). Empty: no limit.",
        example="64G",
    )  # fmt: skip
    memory_high: str = setting(
        "", "Memory of one kernel above which it is slowed down (systemd's MemoryHigh=). Empty: no limit.",
        example="56G",
    )  # fmt: skip
    cpu_weight: int = setting(
        100,
        "Share of a kernel when the CPU is busy (systemd's CPUWeight=). 100 is every unit's default.",
        least=1,
        most=10000,
    )
    tasks_max: int = setting(
        0, "Maximum number of processes and threads of one kernel (systemd's TasksMax=). 0: the system's default.",
        least=0, most=4194304,
    )  # fmt: skip
    spool_max_bytes: int = setting(
        spool.MAX_BYTES, "Disk space for the output of one kernel while no browser tab shows it. Beyond it the "
        "middle is dropped.",
        unit="bytes", least=1 << 20, most=1 << 40,
    )  # fmt: skip
    cull_idle_timeout_s: int = setting(
        0, "Shut down kernels that have been idle for this long (Jupyter's own culling). 0: never. "
        "See also [gpu.cull].",
        unit="s", least=0, most=31536000,
    )  # fmt: skip
    cull_interval_s: int = setting(300, "How often to look for such idle kernels.", unit="s", least=1, most=86400)
    cull_connected: bool = setting(False, "Also shut down idle kernels that are open in a browser.")
    cull_busy: bool = setting(False, "Also shut down kernels in which a cell is running.")


@attrs.frozen
class KernelGpuSettings:
    """Which GPUs a new kernel sees, by CUDA_VISIBLE_DEVICES."""

    choose: str = setting(
        "all", "All of them, the one with the most free memory when the kernel starts, or none.",
        choices=("all", "freest", "none"),
    )  # fmt: skip


@attrs.frozen
class GpuSettings:
    """GPU utilisation in the journal, and its history."""

    enabled: bool = setting(True, "Log GPU utilisation if there is an NVIDIA driver.", change="live")
    log_every_s: float = setting(
        _POLICY.gpu_log_every_s, "How often to log one line for each GPU.", change="live", unit="s", least=1, most=86400
    )
    idle_log_every_s: float = setting(
        _POLICY.gpu_idle_log_every_s, "How often to log that line while the GPU is idle.",
        change="live", unit="s", least=1, most=86400,
    )  # fmt: skip
    sample_every_s: float = setting(
        10.0, "How often to ask the driver for utilisation, memory and power.",
        change="live", unit="s", least=1, most=3600,
    )  # fmt: skip
    details_every_s: float = setting(
        60.0, "How often to ask the driver for processes, temperature, clocks and errors.",
        change="live", unit="s", least=1, most=3600,
    )  # fmt: skip
    history_every_s: int = setting(
        60, "How often to add a row to the history (jupyterd gpu --since). After 30 days one row an hour is kept. "
        "0: no history.",
        change="live", unit="s", least=0, most=3600,
    )  # fmt: skip


@attrs.frozen
class GpuCullSettings:
    """Shut down idle kernels to free GPU memory, even if they are open in a browser. A kernel is kept while its GPU or
    CPU is busy, or while that is unknown.
    """

    enabled: bool = setting(
        _POLICY.cull, "Shut down kernels that hold GPU memory and are idle.", change="live",
    )  # fmt: skip
    dry_run: bool = setting(_POLICY.cull_dry_run, "Only report which kernels would be shut down.", change="live")
    memory_gib: float = setting(
        _POLICY.cull_memory_bytes / (1 << 30), "Least GPU memory of a kernel to be shut down.",
        change="live", unit="GiB", least=0, most=100000,
    )  # fmt: skip
    idle_s: float = setting(
        _POLICY.cull_idle_s, "How long its GPUs and CPUs must have been idle, with no cell running.",
        change="live", unit="s", least=1, most=31536000,
    )  # fmt: skip
    warning_s: float = setting(
        _POLICY.cull_warning_s, "How long before the shutdown to warn: in the notebook, the journal and the status.",
        change="live", unit="s", least=0, most=86400,
    )  # fmt: skip


@attrs.frozen
class SupervisionSettings:
    """When the supervisor acts. The defaults suit a machine that should simply stay up."""

    probe_every_s: float = setting(
        _POLICY.probe_every_s, "How often to probe the first address. The others are probed once a minute.",
        change="live", unit="s", least=0.5, most=3600,
    )  # fmt: skip
    hang_after_s: float = setting(
        _POLICY.hang_after_s, "Replace a server that has not answered on any address for this long.",
        change="live", unit="s", least=1, most=3600,
    )  # fmt: skip
    spare: bool = setting(
        _POLICY.spare,
        "Keep a second server process ready that takes over within a tenth of a second. It uses about 60 MB of memory.",
        change="live",
    )
    start_timeout_s: float = setting(
        _POLICY.start_timeout_s, "Time that the server gets to start.", change="live", unit="s", least=5, most=3600
    )
    stop_timeout_s: float = setting(
        _POLICY.stop_timeout_s,
        "Time between SIGTERM and SIGKILL when the server is stopped.",
        change="live",
        unit="s",
        least=1,
        most=600,
    )


@attrs.frozen
class Settings:
    """All settings by section; "gpu_cull" is [gpu.cull]. Paths are empty or absolute: load.py expands "~"."""

    server: ServerSettings = attrs.field(factory=ServerSettings)
    login: LoginSettings = attrs.field(factory=LoginSettings)
    tls: TlsSettings = attrs.field(factory=TlsSettings)
    kernels: KernelSettings = attrs.field(factory=KernelSettings)
    kernels_gpu: KernelGpuSettings = attrs.field(factory=KernelGpuSettings)
    gpu: GpuSettings = attrs.field(factory=GpuSettings)
    gpu_cull: GpuCullSettings = attrs.field(factory=GpuCullSettings)
    supervision: SupervisionSettings = attrs.field(factory=SupervisionSettings)
