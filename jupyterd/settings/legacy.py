"""Jupyter's own names of settings (NotebookApp.ip, --certfile ...), which guides use, and the names here."""

from __future__ import annotations

_CLASSES = frozenset({
    "NotebookApp", "ServerApp", "JupyterNotebookApp", "JupyterApp", "LabApp", "ExtensionApp", "IdentityProvider",
    "PasswordIdentityProvider", "LegacyIdentityProvider", "ContentsManager", "FileContentsManager",
    "AsyncFileContentsManager", "LargeFileManager", "KernelManager", "AsyncKernelManager", "MultiKernelManager",
    "MappingKernelManager", "AsyncMappingKernelManager", "KernelSpecManager", "SessionManager", "Session",
    "TerminalManager", "GatewayClient", "ZMQChannelsWebsocketConnection", "LanguageServerManager", "Application",
    "NotebookNotary", "IPKernelApp", "InteractiveShell", "Spawner", "SingleUserNotebookApp", "JupyterHub",
})  # fmt: skip

# Of them those whose keys are meant by the table below: KernelManager.ip is another thing.
_SERVERS = (
    "Application", "JupyterApp", "NotebookApp", "SingleUserNotebookApp", "ExtensionApp", "LabApp",
    "JupyterNotebookApp", "ServerApp", "LegacyIdentityProvider", "IdentityProvider", "PasswordIdentityProvider",
    "ContentsManager", "FileContentsManager", "AsyncFileContentsManager", "LargeFileManager",
)  # fmt: skip

# And those that have the keys of culling, and no other that is meant below.
_CULLERS = ("MappingKernelManager", "AsyncMappingKernelManager")

# Old key -> the setting here.
_NEW = {
    "ip": "server.ip", "port": "server.port", "base_url": "server.base_url", "base_project_url": "server.base_url",
    "webapp_settings": "server.jupyter_config_dir", "notebook_dir": "server.root_dir", "root_dir": "server.root_dir",
    "preferred_dir": "server.root_dir", "allow_root": "server.allow_root", "allow_hidden": "server.hidden_files",
    "local_hostnames": "server.names", "custom_display_url": "server.names", "log_level": "server.log_level",
    "certfile": "tls.certificate", "keyfile": "tls.key", "password": "login.password_hash",
    "hashed_password": "login.password_hash", "token": "login.token",
    "allow_password_change": "login.allow_password_change", "cull_idle_timeout": "kernels.cull_idle_timeout_s",
    "cull_interval": "kernels.cull_interval_s", "cull_connected": "kernels.cull_connected",
    "cull_busy": "kernels.cull_busy",
}  # fmt: skip

# Old key -> why there is no such setting.
_GONE = {
    "open_browser": "a daemon opens no browser",
    "browser": "a daemon opens no browser",
    "port_retries": "the port is the one that you set, never another",
    "allow_remote_access": "server.ip decides who can reach it, and server.names which names it answers to",
    "password_required": "a login is always required",
    "allow_credentials": "use server.jupyter_config_dir",
    "quit_button": "the supervisor decides when the server ends",
    "shutdown_no_activity_timeout": "the supervisor decides when the server ends",
    "config_file": "use server.jupyter_config_dir",
    "runtime_dir": "jupyterd has a runtime directory of its own",
    "data_dir": "JUPYTER_DATA_DIR is the account's own, as in any Jupyter",
    "sock": "it listens on addresses only",
    "sock_mode": "it listens on addresses only",
    "ssl_options": "use tls.certificate and tls.key",
    "trust_xheaders": "use login.trusted_proxies, which names the proxies",
}

HATCH = (
    "jupyterd leaves it to Jupyter: put it into jupyter_server_config.py in a directory of your own, "
    "and name that in server.jupyter_config_dir"
)


def explained(path: tuple[str, ...]) -> str | None:
    """What to do with an old name, as in ("c", "NotebookApp", "port") or ("notebook_dir",); None: not an old name."""
    if path[:1] == ("c",):
        path = path[1:]
    match path:
        case (owner, key, *_) if owner in _CLASSES:
            return (_of(key) if _is_meant(owner, key) else None) or HATCH
        case (owner,) if owner in _CLASSES:
            return HATCH
        case (key,):
            return _of(key)
        case _:
            return None


def priority(owner: str) -> int:
    """Precedence of a Jupyter class, greater for a newer or more specific one; -1: unknown."""
    known = (*_SERVERS, *_CULLERS)
    return known.index(owner) if owner in known else -1


def why_gone(owner: str, key: str) -> str | None:
    """Why an old key of this class has no setting here, and needs none."""
    return _GONE.get(key) if _is_meant(owner, key) else None


def is_old_class(path: tuple[str, ...]) -> bool:
    """True for a table that holds old settings, so that each of its keys has an answer."""
    return path == ("c",) or (len(path) > 0 and path[-1] in _CLASSES and path[:-1] in {(), ("c",)})


def new_name(owner: str, key: str) -> str | None:
    """The dotted name that an old key of this class has here."""
    if owner == "LanguageServerManager":
        return {"autodetect": "server.language_server"}.get(key)
    return _NEW.get(key) if _is_meant(owner, key) else None


def _is_meant(owner: str, key: str) -> bool:
    return owner in _SERVERS or (owner in _CULLERS and key.startswith("cull_"))


def jupyter_file(name: str, text: str) -> str | None:
    """What to do when a file is not ours but Jupyter's own configuration; None: it is not."""
    begin = text.lstrip("\ufeff \t\r\n")[:1]
    if name.endswith((".py", ".ipynb")) or "get_config()" in text[:20000]:
        kind = "Python"
    elif name.endswith(".json") or begin == "{":
        kind = "JSON"
    else:
        return None
    return (
        f"it is {kind}, as Jupyter's own configuration is: put its directory into server.jupyter_config_dir, "
        "or see what a file of jupyterd looks like: jupyterd config sample"
    )


def old_options() -> dict[str, str | None]:
    """Jupyter's old command-line options that have a setting here (with its name) or none any more (None)."""
    options: dict[str, str | None] = {
        f"{owner}.{key}": new for owner in ("NotebookApp", "ServerApp") for key, new in _NEW.items()
    }
    options |= {f"{owner}.{key}": new for owner in _CULLERS for key, new in _NEW.items() if key.startswith("cull_")}
    return options | {f"{owner}.{key}": None for owner in ("NotebookApp", "ServerApp") for key in _GONE}


def _of(key: str) -> str | None:
    if key in _NEW:
        return f"it is {_NEW[key]} here"
    if key in _GONE:
        return f"it is not needed: {_GONE[key]}; delete the line"
    return None
